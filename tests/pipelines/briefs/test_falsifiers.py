"""Claims judged by what came: held, refuted, unknown; once each."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import pytest

from pipelines.briefs.claims import Claim, Rules, falsifier
from pipelines.briefs.falsifiers import GRACE, Record, due, record, score
from pipelines.briefs.levels import levels
from pipelines.briefs.notes import Notes
from pipelines.briefs.reading import Reader, moment
from pipelines.market import TABLES
from pipelines.store.lake import Lake
from tests.pipelines.briefs.lakes import AT, DEMO, MINUTES, SETTINGS, copy, known
from tests.pipelines.store.samples import put, rows

TABLE = TABLES["falsifiers"]
HOUR = dt.timedelta(hours=1)
MADE = AT - 2 * HOUR
CLOSES = f"SELECT date, close AS value FROM bars WHERE symbol = 'BTC-USDT' AND \"end\" <= {moment(AT - HOUR)} ORDER BY ts"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return known(tmp_path_factory.mktemp("known"))


@pytest.fixture
def lake(made: Lake, tmp_path: Path) -> Lake:
    return copy(made, tmp_path)


def claim(lake: Lake, name: str, **values: Any) -> None:
    """Add an open claim, made two hours before the lake ends, to be judged an hour before."""
    given: dict[str, Any] = {
        "brief": "b",
        "falsifier": name,
        "claim": "price holds",
        "measure": "last",
        "query": CLOSES,
        "op": "<",
        "level": 117.0,
    }
    times: dict[str, Any] = {"ts": MADE, "end": AT - HOUR, "as_of": MADE, "date": MADE.date()}
    put(lake, TABLE, rows(TABLE, 1, **(times | given | {"outcome": "open", "value": None} | values)))


def outcomes(lake: Lake) -> dict[str, tuple[str, float | None]]:
    found = lake.table("falsifiers").collect()
    return {row["falsifier"]: (row["outcome"], row["value"]) for row in found.rows(named=True)}


def test_claims_are_judged_by_their_own_query_and_level(lake: Lake) -> None:
    claim(lake, "X1")
    claim(lake, "X2", level=118.0)
    claim(lake, "X3", op=">")
    claim(lake, "X4", query="SELECT NULL AS value")
    claim(lake, "X5", level=117.39)
    assert score(lake, AT) == 5
    assert outcomes(lake) == {
        "X1": ("held", 117.39),
        "X2": ("refuted", 117.39),
        "X3": ("refuted", 117.39),
        "X4": ("unknown", None),
        "X5": ("held", 117.39),
    }


def test_a_claim_is_judged_once_and_what_was_judged_stays(lake: Lake) -> None:
    claim(lake, "X1")
    assert [row["falsifier"] for row in due(lake, AT)] == ["X1"]
    assert [score(lake, AT), score(lake, AT), score(Lake(lake.root), AT + HOUR)] == [1, 0, 0]
    history = lake.table("falsifiers_history").sort("as_of").collect()
    assert history["outcome"].to_list() == ["open", "held"]
    assert history["as_of"].to_list() == [MADE, AT]


def test_a_claim_is_not_judged_before_its_time_nor_before_the_lake_has_come_so_far(lake: Lake) -> None:
    claim(lake, "X1")
    claim(lake, "X2", end=AT + HOUR)
    assert score(lake, AT - HOUR - dt.timedelta(seconds=1)) == 0
    assert score(lake, AT - HOUR) == 1
    assert score(lake, AT + HOUR) == 0, "no minute of that time yet"
    assert score(lake, AT + HOUR + GRACE) == 1
    assert outcomes(lake)["X2"][0] == "held"


def test_the_record_counts_by_instrument_and_kind_as_it_was_known(lake: Lake) -> None:
    for name, level in (("X1", 100.0), ("X2", 100.0), ("X3", 120.0)):
        claim(lake, name, level=level)
    claim(lake, "X4", query="SELECT NULL AS value")
    claim(lake, "X5", symbol="ETH-USDT")
    claim(lake, "X6", claim="other", end=AT + HOUR)
    assert score(lake, AT) == 5
    assert record(lake, AT) == [
        Record(*DEMO, "other", 0, 0, 0),
        Record(*DEMO, "price holds", 2, 1, 1),
        Record("demo", "ETH-USDT", "price holds", 1, 0, 0),
    ]
    assert record(lake, AT - dt.timedelta(seconds=1))[1] == Record(*DEMO, "price holds", 0, 0, 0)


def claims(lake: Lake, at: dt.datetime) -> tuple[Notes, dict[str, Claim]]:
    notes = Notes(Reader(lake, at), *DEMO, itertools.count(1))
    found = Rules(notes, levels(notes, SETTINGS), SETTINGS)
    every = [found.one_sided(), found.volatile(), found.busy(), found.thin(), found.leaning(), found.forced(), found.usual()]
    return notes, {one.name: one for one in every if one}


def ups(count: int = MINUTES) -> dict[str, Any]:
    """Return features in which every level rises to the end."""
    rising = [1e-6 * k for k in range(count)]
    return {"rv_1h": rising, "spread_bps": rising, "amihud_1h": rising, "trade_imbalance_15m": [k / count for k in range(count)]}


def test_each_rule_makes_its_claim_and_what_refutes_it_can_be_judged(tmp_path: Path) -> None:
    lake = known(tmp_path / "risen", **ups())
    at = AT - HOUR
    part = known(tmp_path / "to", minutes=MINUTES - 60, **ups(MINUTES - 60))
    for target in (lake, part):
        table = TABLES["liquidations"]
        times: dict[str, Any] = {"ts": at - HOUR / 2, "end": at - HOUR / 2, "date": at.date()}
        put(target, table, rows(table, 1, **times, notional=500.0, side=-1, sampled=True))
    notes, found = claims(part, at)
    assert {"one-sided", "busy", "thin", "leaning"} <= set(found)
    for name in ("volatile", "forced"):
        assert (name in found) == (notes_pct(notes, "range") >= 0.9)
    numbers = itertools.count(1)
    reader = Reader(lake, AT)
    for one in found.values():
        made = falsifier(notes, one, numbers)
        assert made.due == AT
        assert reader.rows(made.query).height > 0, one.name
        assert Reader(part, AT + HOUR).rows(made.query).is_empty(), "nothing came, so nothing is known"


def notes_pct(notes: Notes, name: str) -> float:
    (found,) = [fact for fact in notes.facts if fact.name == f"{name}_pct"]
    assert isinstance(found.value, float)
    return found.value
