"""A recorded day with a hole: the archive fills it, the ledger says so, the day is sealed anew."""

from __future__ import annotations

import datetime as dt
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from assets import finishing
from assets.finishing import Ask, House, finish_all
from assets.rest import fetch_holes
from assets.sealing import repairable
from pipelines import ledger, rows
from pipelines.history.day import Day
from pipelines.history.repair import holes
from pipelines.market import DAY_US
from pipelines.tape_order import GapRow
from pipelines.venues import venue
from tests import tapes
from tests.assets.test_history import DAYS, VENUE, Archive, MadeUp, archive, settings

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.tape import Rows

__all__ = ["archive", "settings"]

DAY = DAYS[0]
AAA = tapes.INSTRUMENTS[:1]
NOON = dt.datetime.combine(DAY.date, dt.time(12), dt.UTC)


def tape() -> Rows:
    made: Rows = np.concatenate(list(MadeUp(DAY, tuple(AAA)).pieces()))
    made["seq"] = np.arange(made.size)
    made["recv_ns"] = made["ts"] * 1000 + 5_000_000
    return made


@pytest.fixture
def recorded(archive: Archive, settings: Settings) -> House:
    """Record all trades of the day but the 100th to the 119th."""
    at, whole = finishing.house(settings), tape()
    kept, lost = np.delete(whole, np.s_[100:120]), whole[100:120]
    trades = rows.trades(kept, [VENUE], [AAA[0].symbol], ["agg"])
    first, last = (int(trade_id) for trade_id in lost["trade_id"][[0, -1]])
    gap = GapRow(0, int(whole["ts"][99]), int(whole["ts"][120]), first, last, "reconnect", "unfillable", 1)
    minutes = [DAY.us + 60_000_000 * minute for minute in (0, 24 * 60 + 14, 24 * 60 + 16)]
    put(at, "trades", trades)
    put(at, "gaps", ledger.gaps([gap], AAA))
    for n, minute in enumerate(minutes):
        put(at, "coverage", ledger.coverage(VENUE, "main", minute, 0, "seg", n, 1), str(n))
    return at


def put(at: House, table: str, made: pa.Table, name: str = "0") -> None:
    staged = at.lake.stage(table, made, f"main-{int(name):010}", {})
    assert at.lake.commit(table, "main", int(name), staged)


def stored(at: House, flag: str | None = None) -> int:
    frame = at.lake.table("trades").filter(pl.col("venue") == VENUE)
    found = frame.filter(pl.col("flags").list.contains(flag)) if flag else frame
    return found.collect().height


def test_a_hole_is_filled_and_the_day_is_sealed(recorded: House, archive: Archive) -> None:
    assert [day for day, _ in finishing.due(recorded.lake, None)] == [DAY]
    assert [o.status for o in finish_all(recorded, [DAY], Ask())] == ["sealed"]
    assert archive.asked == []
    assert stored(recorded) == tape().size - 20
    assert [day for day, _ in repairable(recorded.lake, recorded.settings, NOON + dt.timedelta(days=2))] == [DAY]
    (outcome,) = finish_all(recorded, [DAY], Ask(repair=True))
    assert (outcome.status, outcome.error) == ("sealed", "")
    assert archive.asked == [DAY]
    assert stored(recorded) == tape().size
    assert stored(recorded, "repaired") == 20
    assert holes(recorded.lake, DAY) == []
    assert repairable(recorded.lake, recorded.settings, NOON + dt.timedelta(days=2)) == []
    ids = recorded.lake.table("trades").sort("seq").collect()["trade_id"]
    assert ids.is_sorted()
    (seal,) = finishing.seals_of(recorded.lake, DAY).values()
    assert (seal["trades"], seal["source"]) == (tape().size, "live")
    assert finishing.due(recorded.lake, None) == []


def test_a_day_that_the_flow_has_not_passed_is_left_alone(archive: Archive, settings: Settings) -> None:
    at = finishing.house(settings)
    put(at, "trades", rows.trades(tape(), [VENUE], [AAA[0].symbol], ["agg"]))
    put(at, "coverage", ledger.coverage(VENUE, "main", DAY.us + DAY_US // 2, 0, "seg", 0, 1))
    assert finishing.due(at.lake, None) == []
    for ask in (Ask(), Ask(archive=True)):
        (outcome,) = finish_all(at, [DAY], ask)
        assert outcome.status == "failed"
        assert "say `force`" in outcome.error
    assert archive.asked == []
    assert [o.status for o in finish_all(at, [DAY], Ask(force=True))] == ["sealed"]


def test_a_day_may_be_taken_whole_from_the_archive(recorded: House, archive: Archive) -> None:
    assert [o.status for o in finish_all(recorded, [DAY], Ask(archive=True))] == ["sealed"]
    assert archive.asked == [DAY]
    assert stored(recorded) == tape().size
    assert stored(recorded, "repaired") == 0
    assert holes(recorded.lake, DAY) == []
    (seal,) = finishing.seals_of(recorded.lake, DAY).values()
    assert seal["source"] == "made-up.zip"


def test_a_day_of_which_one_symbol_was_recorded_and_one_taken_from_the_archive_keeps_both_so(
    recorded: House, archive: Archive
) -> None:
    """Sealed again, in one pass of all that is stored, neither becomes the other."""
    other = tapes.INSTRUMENTS[1].symbol
    assert [o.status for o in finish_all(recorded, [DAY], Ask(symbols=(other,)))] == ["sealed"]
    for late in (0, 1, 2):
        if late:
            trades = rows.trades(tape()[99 + late : 100 + late], [VENUE], [AAA[0].symbol], ["agg"])
            put(recorded, "trades", trades, str(late))
        assert [(o.status, o.error) for o in finish_all(recorded, [DAY], Ask())] == [("sealed", "")]
        sources = {symbol: row["source"] for symbol, row in finishing.seals_of(recorded.lake, DAY).items()}
        assert sources == {AAA[0].symbol: "live", other: "made-up.zip"}
        assert finishing.due(recorded.lake, None) == []
    assert archive.asked == [DAY]


class Venue(BaseHTTPRequestHandler):
    """Answers `aggTrades` of the day from its tape, three at a time, without one that it has lost."""

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        first, limit = int(asked["fromId"][0]), min(3, int(asked["limit"][0]))
        whole = tape()
        page = whole[(whole["trade_id"] >= first) & (whole["trade_id"] != self.server.lost)][:limit]  # type: ignore[attr-defined]
        body = [
            {
                "a": int(t["trade_id"]),
                "p": str(t["price"]),
                "q": f"{t['size']:.3f}",
                "f": 1,
                "l": 1,
                "T": int(t["ts"]) // 1000,
                "m": False,
            }
            for t in page
        ]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.parametrize("lost", [0, 7])
def test_where_there_is_no_archive_rest_is_asked(
    recorded: House, archive: Archive, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    monkeypatch.setattr("assets.rest.SHARE", 100.0)
    archive.broken = {DAY}
    server = HTTPServer(("127.0.0.1", 0), Venue)
    server.lost = lost and int(tape()["trade_id"][100 + lost])  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        endpoints = {VENUE: f"http://127.0.0.1:{server.server_port}"}
        at = recorded._replace(settings=recorded.settings.model_copy(update={"endpoints": endpoints}))
        (outcome,) = finish_all(at, [DAY], Ask(repair=True))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert (outcome.status, outcome.error) == ("sealed", "")
    assert stored(at, "repaired") == 20 - bool(lost)
    assert len(holes(at.lake, DAY)) == bool(lost)


def test_sizes_that_rest_counts_in_contracts_become_base(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """A contract of 100 USD at 100.0 is one coin; one of another worth, as the venue described it, is not guessed."""
    monkeypatch.setattr("assets.rest.SHARE", 100.0)
    inverse = venue("binance-coinm").guess("BTC-USD-PERP")
    known = [inverse, inverse._replace(symbol="ETH-USD-PERP", native="ETHUSD_PERP", base="ETH", contract="10.0")]
    day, whole = Day(DAY.date, "binance-coinm"), tape()
    first, last = (int(trade_id) for trade_id in whole["trade_id"][[100, 119]])
    hole = GapRow(0, int(whole["ts"][99]), int(whole["ts"][120]), first, last, "reconnect", "unfillable", 1)
    server = HTTPServer(("127.0.0.1", 0), Venue)
    server.lost = 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        endpoints = {day.venue: f"http://127.0.0.1:{server.server_port}"}
        chosen = settings.model_copy(update={"endpoints": endpoints})
        (found,) = fetch_holes(chosen, day, known, lambda _: [hole], lambda _: None).pieces()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    told = whole[100:120]
    for k, worth in enumerate((100, 10)):
        mine = found[found["instrument"] == k]
        assert mine["contracts"].tolist() == [float(f"{size:.3f}") for size in told["size"]]
        assert mine["size"].tolist() == [
            round(worth * float(f"{size:.3f}") / price, 8) for size, price in zip(told["size"], told["price"], strict=True)
        ]


def test_a_host_that_is_away_is_told(recorded: House, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.rest.ATTEMPTS", 1)
    archive.broken = {DAY}
    at = recorded._replace(settings=recorded.settings.model_copy(update={"endpoints": {VENUE: "http://127.0.0.1:1"}}))
    (outcome,) = finish_all(at, [DAY], Ask(repair=True))
    assert outcome.status == "failed"
    assert "binance-usdm: 127.0.0.1 gives no trades" in outcome.error
    assert len(holes(at.lake, DAY)) == 1
