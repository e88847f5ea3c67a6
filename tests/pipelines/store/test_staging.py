"""Rows on their way: buffered, staged, committed once the state that knows them is safe."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from pipelines.market import ALERTS, TRADES
from pipelines.store import staging
from pipelines.store.lake import Lake
from pipelines.store.staging import LakeAhead, Staging
from tests.pipelines.store.samples import rows


def begun(root: Path, state: dict[str, object] | None = None) -> Staging:
    return Staging(Lake(root), "main.0", {}, copy.deepcopy(state))


def stored(root: Path, table: str = "trades") -> int:
    return sum(f.rows for f in Lake(root).live(table).values())


def files(root: Path) -> int:
    return len(list((root / "trades").rglob("*.parquet")))


def test_rows_are_seen_once_their_snapshot_is_safe_and_due(tmp_path: Path) -> None:
    here = begun(tmp_path)
    here.add("trades", rows(TRADES, 7))
    here.add("alerts", rows(ALERTS, 2))
    here.snapshot("epoch")
    assert stored(tmp_path, "alerts") == 0
    assert here.publish() == {"alerts": 1}
    assert (stored(tmp_path, "alerts"), stored(tmp_path)) == (2, 0)
    here.snapshot("minute")
    assert here.publish() == {"trades": 1}
    assert stored(tmp_path) == 7


def test_begun_again_it_commits_what_was_due_and_forgets_what_came_after(tmp_path: Path) -> None:
    here = begun(tmp_path)
    here.add("trades", rows(TRADES, 7))
    state = here.snapshot("minute")
    here.add("trades", rows(TRADES, 5))
    here.snapshot("minute")  # staged, but this snapshot was never made durable
    assert files(tmp_path) == 2
    begun(tmp_path, state)
    assert (stored(tmp_path), files(tmp_path)) == (7, 1)
    begun(tmp_path, state)
    assert stored(tmp_path) == 7


def test_rows_not_yet_due_go_on_in_the_state(tmp_path: Path) -> None:
    here = begun(tmp_path)
    here.add("trades", rows(TRADES, 7))
    again = begun(tmp_path, here.snapshot("nothing"))
    again.add("trades", rows(TRADES, 5))
    again.snapshot("all")
    again.publish()
    assert stored(tmp_path) == 12


def test_many_rows_are_staged_before_they_are_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "ROWS", 10)
    here = begun(tmp_path)
    for _ in range(3):
        here.add("trades", rows(TRADES, 10))
        here.snapshot("nothing")
    assert (files(tmp_path), stored(tmp_path)) == (3, 0)
    here.snapshot("all")
    here.publish()
    assert stored(tmp_path) == 30


def test_a_lake_ahead_of_the_state_is_refused(tmp_path: Path) -> None:
    here = begun(tmp_path)
    for _ in range(2):
        here.add("trades", rows(TRADES, 3))
        state = here.snapshot("minute")
        here.publish()
    here.add("trades", rows(TRADES, 3))
    here.snapshot("minute")
    here.publish()
    with pytest.raises(LakeAhead, match="trades"):
        begun(tmp_path, state)
    with pytest.raises(LakeAhead, match="main"):
        begun(tmp_path)


def test_rows_that_come_in_many_pieces_weigh_no_more_than_in_one(tmp_path: Path) -> None:
    one, many = begun(tmp_path / "one"), begun(tmp_path / "many")
    table = rows(TRADES, 100)
    one.add("trades", table)
    for k in range(100):
        many.add("trades", table.slice(k, 1))
    assert len(pickle.dumps(many.snapshot("nothing"))) <= 1.1 * len(pickle.dumps(one.snapshot("nothing")))
