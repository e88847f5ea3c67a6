"""Briefs written once and read back as they were."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.keep import keep, load
from pipelines.briefs.sheet import Brief, Falsifier
from pipelines.store import LakeError, upkeep
from pipelines.store.lake import Lake

AT = dt.datetime(2026, 3, 4, 14, 5, tzinfo=dt.UTC)
ABOUT: dict[str, Any] = {"venue": "okx", "symbol": "BTC-USDT", "as_of": AT}
FACTS = (
    Fact(id="F1", name="price", label="price", value=0.1 + 0.2, unit=Unit.PRICE, asset="USDT", decimals=2, n=60, **ABOUT),
    Fact(
        id="F2", name="n", label="values", value=1500, unit=Unit.COUNT, query="SELECT 1", rows_digest="ab", sealed=True, **ABOUT
    ),
    Fact(id="F3", name="spread", label="spread", value=None, unit=Unit.BPS, signed=True, **ABOUT),
    Fact(id="F4", name="posture", label="posture", value="long", unit=Unit.WORD, **ABOUT),
    Fact(id="F5", name="due", label="due", value=AT + dt.timedelta(hours=1), unit=Unit.TIME, measure="setting", **ABOUT),
    Fact(id="F10", name="was", label="was", value=-0.5, unit=Unit.SHARE, **(ABOUT | {"as_of": AT - dt.timedelta(days=1)})),
)
MADE = Falsifier(
    id="X1", venue="okx", symbol="BTC-USDT", claim="price stays", text="price stays: refuted if it is below {F1} at {F5}",
    measure="last", query="SELECT 1 AS value", op="<", level=0.3, due=AT + dt.timedelta(hours=1),
)  # fmt: skip


def brief(name: str = "a1b2c3d4e5f60718", at: dt.datetime = AT) -> Brief:
    return Brief(
        id=name, kind="hourly", venue="okx", symbol="BTC-USDT", at=at, episode=None, changed=True, facts=FACTS,
        falsifiers=(MADE,), head="head", thread="thread", markdown="# all", why="timeout", digest="d",
    )  # fmt: skip


def test_a_brief_is_read_back_as_it_was(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert keep(lake, brief())
    found = load(lake)
    said = msgspec.structs.replace(MADE, text="price stays: refuted if it is below 0.30 USDT at 2026-03-04 15:05 UTC")
    assert found == msgspec.structs.replace(brief(), falsifiers=(said,))


def test_a_brief_is_written_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert [keep(lake, brief()), keep(lake, brief()), keep(Lake(tmp_path), brief())] == [True, False, False]
    assert [lake.table(t).collect().height for t in ("briefs", "facts", "falsifiers")] == [1, len(FACTS), 1]


def test_a_brief_that_was_half_written_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path)
    commit = Lake.commit

    def stops(self: Lake, table: str, *rest: object) -> bool:
        if table == "briefs":
            raise OSError("no space left")
        return commit(self, table, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "commit", stops)
        with pytest.raises(OSError, match="no space"):
            keep(lake, brief())
    assert lake.table("briefs").collect().is_empty()
    assert keep(lake, brief())
    assert load(lake).facts == FACTS


def test_two_who_write_the_same_brief_at_once_leave_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lake, "version", lambda *_: None)  # neither sees the other's
    assert [keep(Lake(tmp_path), brief()), keep(Lake(tmp_path), brief())] == [True, False]
    assert [Lake(tmp_path).table(t).collect().height for t in ("briefs", "facts", "falsifiers")] == [1, len(FACTS), 1]


def test_the_newest_is_the_default_and_the_beginning_of_an_id_is_enough(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for name, hours in (("aa11223344556677", 0), ("ab11223344556677", 2), ("ff11223344556677", 1)):
        assert keep(lake, brief(name, AT + dt.timedelta(hours=hours)))
    assert load(lake).id == "ab11223344556677"
    assert load(lake, "ff").id == "ff11223344556677"
    assert load(lake, "aa11223344556677").id == "aa11223344556677"
    with pytest.raises(LakeError, match=r"no brief 'a'; did you mean aa1.* or ab1"):
        load(lake, "a")
    with pytest.raises(LakeError, match=r"no brief 'aa11223344556678'; did you mean aa11223344556677"):
        load(lake, "aa11223344556678")
    with pytest.raises(LakeError, match=r"no brief 'zz'; the newest are ab1"):
        load(lake, "zz")


def test_a_lake_without_briefs_says_so(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.create()
    with pytest.raises(LakeError, match="no brief in this lake yet"):
        load(lake)


def test_upkeep_merges_the_files_of_briefs(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for k in range(3):
        keep(lake, brief(f"{k}000000000000000"))
    assert len(lake.live("facts")) == 3
    upkeep.compact(lake, "facts")
    assert len(lake.live("facts")) == 1
    assert [load(lake, f"{k}000").facts for k in range(3)] == [FACTS] * 3
