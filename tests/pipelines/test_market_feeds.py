"""Quotes, books, liquidations and funding on their way through the engine, as the demo of USD-M's protocol sends them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import records
from pipelines.detector_settings import BookImbalance, Detectors, LiquidationSpike, PipelineBehind, SpreadBlowout, StaleFeed
from pipelines.engine import Engine
from pipelines.market import TABLES, Instrument
from pipelines.records import Batch, Connect, Disconnect, Kind, Start, headed
from pipelines.settings import Book, Kernels
from pipelines.sources import open_source
from tests import tapes
from tests.conftest import SHARED
from tests.tapes import DAY, agg_trade

MS = DAY // 1000
VENUE = "binance-usdm"
SYMBOL = "AAAUSDT"
KERNELS = tapes.KERNELS.model_copy(
    update={
        "book": Book(interval_s=1.0),
        "detectors": Detectors(
            liquidation_spike=LiquidationSpike(window=10, times=2.0, floor=100.0),
            spread_blowout=SpreadBlowout(window=30, times=2.0, floor_bps=1.0, cooldown_s=5),
            book_imbalance=BookImbalance(levels=1, threshold=0.5, snapshots=2),
            stale_feed=StaleFeed(window_min=5, gaps=2.0, floor_s=1.0, per_minute=0.1),
            pipeline_behind=PipelineBehind(lag_s=1.0, seconds=2),
        ),
    }
)

Line = tuple[int, Kind, bytes, int]
"""recv_ns, kind, payload, connection."""


def at(ms: float, kind: Kind = Kind.HEARTBEAT, payload: bytes = b"", connection: int = 1) -> Line:
    """Return a record received 50 ms after a venue time (ms since the start of the day)."""
    return (DAY + round(ms * 1000) + 50_000) * 1000, kind, payload, connection


def frame(ms: float, connection: int = 1, **data: Any) -> Line:
    return at(ms, Kind.FRAME, msgspec.json.encode({"stream": "x", "data": data}), connection)


def trade(ms: int, trade_id: int, *, recv: float | None = None, price: str = "100") -> Line:
    return at(ms if recv is None else recv, Kind.FRAME, agg_trade(SYMBOL, trade_id, MS + ms, price, "1"))


def depth(
    ms: int, previous: int, last: int, bids: Any = (), asks: Any = (), symbol: str = SYMBOL, connection: int = 1, first: int = 0
) -> Line:
    times = {"E": MS + ms, "T": MS + ms}
    numbers = {"U": first or previous + 1, "u": last, "pu": previous}
    return frame(ms, connection, e="depthUpdate", **times, s=symbol, **numbers, b=list(bids), a=list(asks))


def snapshot(ms: int, last: int, bids: Any = (("99", "1"),), asks: Any = (("101", "2"),), connection: int = 1) -> Line:
    body = msgspec.json.encode({"lastUpdateId": last, "E": MS + ms, "T": MS + ms, "bids": list(bids), "asks": list(asks)})
    return at(ms, Kind.BOOK, headed(records.Book(VENUE, SYMBOL), body), connection)


def quote(ms: int, update: int, bid: str, ask: str, connection: int = 1, symbol: str = SYMBOL) -> Line:
    sides = {"b": bid, "B": "3", "a": ask, "A": "4"}
    return frame(ms, connection, e="bookTicker", u=update, s=symbol, **sides, T=MS + ms, E=MS + ms)


def forced(ms: int, side: str, price: str, size: str, symbol: str = SYMBOL) -> Line:
    order = {"s": symbol, "S": side, "o": "LIMIT", "f": "IOC", "q": size, "p": price, "ap": price, "X": "FILLED"}
    return frame(ms + 3, e="forceOrder", E=MS + ms + 2, o=order | {"l": size, "z": size, "T": MS + ms})


def funding(ms: int, mark: str, rate: str = "0.0001") -> Line:
    return frame(ms, e="markPriceUpdate", E=MS + ms, s=SYMBOL, p=mark, P=mark, i="100.5", r=rate, T=MS + 28_800_000)


def beats(begin: float, end: float) -> list[Line]:
    return [at(begin + 250 * k) for k in range(int((end - begin) / 250))]


def in_order(*lines: Line) -> list[Line]:
    return sorted(lines, key=lambda r: r[0])


def engine() -> Engine:
    made = tapes.journal_engine(KERNELS)
    made.connections[2] = VENUE
    return made


def batches(lines: Sequence[Line], size: int) -> list[Batch]:
    out = []
    for begin in range(0, len(lines), size):
        part = lines[begin : begin + size]
        places = np.arange(begin, begin + len(part)) * 100
        kinds, connections = np.array([r[1] for r in part], np.uint8), np.array([r[3] for r in part], np.uint16)
        recv = np.array([r[0] for r in part], np.int64)
        out.append(Batch(recv, kinds, connections, places, [r[2] for r in part], "seg-0000000001.tfj", 0))
    return out


def feed(made: Engine, lines: Sequence[Line], size: int = 10_000) -> dict[str, pa.Table]:
    return tapes.gather([table for batch in batches(lines, size) for table in made.feed(batch).tables])


def table(out: dict[str, pa.Table], name: str) -> list[dict[str, Any]]:
    rows = out[name].to_pylist() if name in out else []
    return [{**r, "at": round((r["ts"].timestamp() - DAY / 1e6) * 1000)} for r in rows]


def alerts(out: dict[str, pa.Table], detector: str) -> list[dict[str, Any]]:
    found = [{**r, "figures": msgspec.json.decode(r["details"])} for r in table(out, "alerts") if r["detector"] == detector]
    return sorted(found, key=lambda r: r["at"])


# --- quotes


def test_quotes_are_stored_in_order_of_receipt() -> None:
    out = feed(
        engine(), [quote(100, 5, "99.5", "100.5"), quote(90, 6, "99.6", "100.5"), quote(110, 9, "1", "2", symbol="BBBUSDT")]
    )
    rows = sorted((r["symbol"], r["seq"], r["at"], r["update_id"], r["bid"], r["ask_size"]) for r in table(out, "quotes"))
    assert rows == [
        ("AAA-USDT-PERP", 0, 100, 5, 99.5, 4.0),
        ("AAA-USDT-PERP", 1, 90, 6, 99.6, 4.0),
        ("BBB-USDT-PERP", 0, 110, 9, 1.0, 4.0),
    ]
    assert "quarantine" not in out


def test_of_two_sockets_the_first_one_gives_the_quotes_until_it_is_gone() -> None:
    both = [quote(100 + k, k, "99", "101", connection=c) for k in range(3) for c in (2, 1)]
    gone = at(200, Kind.DISCONNECT, msgspec.json.encode(Disconnect(VENUE, "reset")), 2)
    made = engine()
    assert [r["update_id"] for r in table(feed(made, [*both, gone, quote(300, 9, "99", "101")]), "quotes")] == [None, 1, 2, 9]
    assert made.feeds.quoting == {0: 1}


def test_what_is_stamped_ahead_or_of_no_instrument_is_refused() -> None:
    ahead = [quote(20_000, 1, "99", "101"), forced(20_000, "SELL", "100", "1"), depth(20_000, 1, 2), funding(20_000, "100")]
    early = [(at(100)[0], *line[1:]) for line in ahead]
    out = feed(engine(), [*early, quote(200, 1, "99", "101", symbol="ZZZUSDT"), depth(210, 1, 2, symbol="ZZZUSDT")])
    assert not {"quotes", "book", "liquidations", "funding"} & set(out)
    reasons = [r["reason"] for r in table(out, "quarantine")]
    assert sum("ahead" in r for r in reasons) == 4
    assert sum("not among" in r for r in reasons) == 2


# --- books


def test_a_book_is_shown_at_multiples_of_the_interval() -> None:
    lines = [
        depth(100, 10, 12, bids=[("98", "5")]),
        snapshot(300, 10),
        depth(900, 12, 15, asks=[("100.5", "1")]),
        *in_order(*beats(1100, 2400), depth(1950, 15, 17, bids=[("99", "0")])),
        depth(3010, 17, 20),
    ]
    rows = table(feed(engine(), lines), "book")
    assert [(r["at"], r["update_id"], r["age_us"], r["connection"], r["resyncs"]) for r in rows] == [
        (1000, 15, 100_000, 1, 0),
        (2000, 17, 50_000, 1, 0),
        (3000, 17, 1_050_000, 1, 0),
    ]
    assert (rows[0]["bids"], rows[0]["bid_sizes"]) == ([99.0, 98.0], [1.0, 5.0])
    assert (rows[0]["asks"], rows[0]["ask_sizes"]) == ([100.5, 101.0], [1.0, 2.0])
    assert rows[1]["bids"] == [98.0]


def test_nothing_is_shown_while_no_book_is_sound() -> None:
    out = feed(engine(), [depth(100, 10, 12), *beats(200, 3000)])
    assert "book" not in out
    assert "gaps" not in out


def test_a_break_is_a_gap_until_the_book_is_there_again() -> None:
    made = engine()
    lines = [snapshot(100, 10), depth(200, 10, 12), depth(400, 14, 16), *beats(500, 2500)]
    out = feed(made, lines)
    assert "book" not in out
    gap = table(out, "gaps")
    assert [(g["feed"], g["at"], g["reason"], g["status"]) for g in gap] == [("book", 200, "sequence", "open")]
    out = feed(made, [snapshot(2600, 16), depth(3100, 16, 18)])
    assert [(g["at"], g["reason"], g["status"]) for g in table(out, "gaps")] == [(200, "sequence", "repaired")]
    assert (table(out, "gaps")[0]["as_of"] - gap[0]["as_of"]).total_seconds() == pytest.approx(2.2)
    assert [(r["at"], r["resyncs"]) for r in table(out, "book")] == [(3000, 1)]
    assert made.feeds.books.synced == 1


def test_the_other_sockets_book_is_shown_where_one_is_lost_and_that_is_no_gap() -> None:
    lines = [snapshot(100, 10), snapshot(110, 11, connection=2), depth(400, 14, 16), depth(1100, 11, 13, connection=2)]
    out = feed(engine(), [depth(90, 5, 6), *lines])
    assert [(r["connection"], r["update_id"]) for r in table(out, "book")] == [(2, 11)]
    assert "gaps" not in out


@pytest.mark.parametrize("record", [(Kind.DISCONNECT, Disconnect(VENUE, "reset")), (Kind.START, Start("again", {}))])
def test_a_lost_connection_takes_its_book_along(record: tuple[Kind, msgspec.Struct]) -> None:
    gone = at(500, record[0], msgspec.json.encode(record[1]))
    again = at(600, Kind.CONNECT, msgspec.json.encode(Connect(VENUE, "public", ["book"], [SYMBOL])), 3)
    lines = [snapshot(100, 10), depth(200, 10, 12), gone, *beats(600, 2000), again, snapshot(2100, 30, connection=3)]
    out = feed(engine(), [*lines, depth(3200, 30, 31, connection=3)])
    assert [(r["at"], r["connection"], r["update_id"], r["resyncs"]) for r in table(out, "book")] == [(3000, 3, 30, 1)]


def test_what_is_shed_takes_the_book_along() -> None:
    """Of a venue without numbers nothing else would tell that updates are missing."""
    shed = at(500, Kind.SHED, msgspec.json.encode(records.Gap(VENUE, SYMBOL, "book", "disk_low", "shed")))
    made = engine()
    assert "book" not in feed(made, [snapshot(100, 10), depth(200, 10, 12), shed, *beats(600, 2000), depth(1500, 12, 14)])
    rows = table(feed(made, [snapshot(2100, 14), depth(3200, 14, 15)]), "book")
    assert [(r["at"], r["update_id"], r["resyncs"]) for r in rows] == [(3000, 14, 1)]


def test_a_snapshot_without_a_name_is_of_the_only_instrument() -> None:
    body = msgspec.json.encode({"lastUpdateId": 10, "bids": [["99", "1"]], "asks": [["101", "1"]]})
    made = Engine(KERNELS, origin="history")
    made.add(tapes.INSTRUMENTS[0], "agg")
    lines = [at(100, Kind.FRAME, body), depth(1100, 10, 12)]
    assert [r["at"] for r in table(feed(made, lines), "book")] == []
    assert [r["at"] for r in table(feed(made, [depth(2100, 12, 13)]), "book")] == [2000]
    refused = table(feed(engine(), lines[:1]), "quarantine")
    assert ["without a name" in r["reason"] for r in refused] == [True]


def test_sizes_of_contracts_are_in_base() -> None:
    inverse = Instrument("binance-coinm", "AAA-USD-PERP", "AAAUSD_PERP", "AAA", "USD", contract="100", inverse=True)
    made = Engine(KERNELS, shard="main")
    made.add(inverse, "agg")
    made.connections[1] = inverse.venue
    lines = [
        at(
            50,
            Kind.BOOK,
            headed(records.Book(inverse.venue, inverse.native), b'{"lastUpdateId":1,"bids":[["50","4"]],"asks":[]}'),
        ),
        depth(100, 1, 2, symbol=inverse.native),
        quote(200, 3, "50", "80", symbol=inverse.native),
        forced(300, "BUY", "25", "2", symbol=inverse.native),
        depth(1100, 2, 3, symbol=inverse.native),
    ]
    out = feed(made, lines)
    assert table(out, "book")[0]["bid_sizes"] == [8.0]
    assert [(r["bid_size"], r["ask_size"]) for r in table(out, "quotes")] == [(6.0, 5.0)]
    order = table(out, "liquidations")[0]
    assert (order["size"], order["contracts"], order["notional"], order["side"]) == (8.0, 2.0, 200.0, 1)


# --- liquidations and funding


def test_a_liquidation_counts_once() -> None:
    lines = [forced(100, "SELL", "99", "2"), forced(100, "SELL", "99", "2"), forced(100, "BUY", "99", "2")]
    rows = sorted(table(feed(engine(), lines), "liquidations"), key=lambda r: r["seq"])
    assert [(r["seq"], r["side"], r["notional"], r["contracts"], r["sampled"]) for r in rows] == [
        (0, -1, 198.0, None, True),
        (1, 1, 198.0, None, True),
    ]


def test_funding_is_stored_when_it_changes_or_a_minute_has_passed() -> None:
    lines = [funding(0, "100"), funding(3000, "100"), funding(6000, "101"), funding(9000, "101"), funding(66_000, "101")]
    rows = table(feed(engine(), [*lines, funding(6000, "99")]), "funding")
    assert [(r["at"], r["mark_price"], r["rate"], r["index_price"]) for r in rows] == [
        (0, 100.0, 0.0001, 100.5),
        (6000, 101.0, 0.0001, 100.5),
        (66_000, 101.0, 0.0001, 100.5),
    ]
    assert [r["seq"] for r in rows] == [0, 1, 2]


def test_open_interest_comes_over_rest() -> None:
    body = msgspec.json.encode({"symbol": SYMBOL, "openInterest": "7.5", "time": MS + 100})
    out = feed(engine(), [at(100, Kind.FUNDING, headed(records.Funding(VENUE, SYMBOL), body))])
    assert [(r["open_interest"], r["rate"]) for r in table(out, "funding")] == [(7.5, None)]


# --- detectors


def test_a_minute_of_liquidations_far_above_those_before_alerts() -> None:
    calm = [forced(60_000 * k, "SELL", "100", "1") for k in range(8)]
    storm = [forced(660_000 + 5, "SELL", "100", "3"), forced(660_000 + 9, "BUY", "100", "1")]
    made = engine()
    assert not alerts(feed(made, [*calm, *storm, *beats(718_000, 721_900)]), "liquidation_spike")
    found = alerts(feed(made, beats(722_000, 723_000)), "liquidation_spike")
    # Ten minutes before it: 100 in seven of them, 0 in three; the mean is 70, the 99 % order statistic the greatest, 100.
    assert [(a["at"], a["score"], a["threshold"], a["severity"]) for a in found] == [(660_000, 400.0, 140.0, 3)]
    assert found[0]["figures"] == {"notional": 400.0, "longs": 300.0, "orders": 2, "mean": 70.0, "high": 100.0, "window": 10}


@pytest.mark.parametrize("storm", [("1.15", "0"), ("0.9", "0")])
def test_a_minute_below_the_floor_or_the_multiple_does_not(storm: tuple[str, str]) -> None:
    calm = [forced(60_000 * k, "SELL", "100", "1") for k in range(10)]
    out = feed(engine(), [*calm, forced(660_000, "SELL", "100", storm[0]), *beats(720_000, 724_000)])
    assert not alerts(out, "liquidation_spike")


def test_a_spread_far_above_the_seconds_before_alerts_once_in_a_while() -> None:
    calm = [quote(1000 * k, k + 1, "99.99", "100.01") for k in range(30)]
    wide = [quote(30_000 + 1000 * k, 50 + k, "99.95", "100.05") for k in range(4)]
    found = alerts(feed(engine(), [*calm, *wide, quote(35_000, 99, "1", "2")]), "spread_blowout")
    assert [(a["at"], round(a["score"], 6), a["threshold"]) for a in found] == [(30_000, 10.0, pytest.approx(4.0))]
    assert found[0]["figures"]["median_bps"] == pytest.approx(2.0)


def test_tops_of_books_stand_for_quotes_where_there_are_none() -> None:
    book = [snapshot(0, 1, [("99.99", "1")], [("100.01", "1")])]
    book += [depth(1000 * k, k, k + 1) for k in range(1, 32)]
    wide = [depth(32_000, 32, 33, bids=[("99.99", "0"), ("99.9", "1")]), depth(33_000, 33, 34)]
    assert [a["at"] for a in alerts(feed(engine(), [*book, *wide]), "spread_blowout")] == [32_000]
    quoted = [quote(0, 1, "99", "101"), *book, *wide]
    assert not alerts(feed(engine(), quoted), "spread_blowout")


def test_a_book_that_leans_for_some_snapshots_alerts_once() -> None:
    lines = [snapshot(0, 1, [("99", "9")], [("101", "1")]), *(depth(1000 * k + 500, k, k + 1) for k in range(1, 6))]
    found = alerts(feed(engine(), [depth(-100, 0, 1), *lines]), "book_imbalance")
    assert [(a["at"], a["score"], a["figures"]["snapshots"]) for a in found] == [(1000, 0.8, 2)]


def test_an_instrument_that_stops_trading_alerts_once_while_heartbeats_go_on() -> None:
    trades = [trade(10_000 * k, k + 1) for k in range(37)]
    lines = in_order(*trades, *beats(359_000, 420_000))
    found = alerts(feed(engine(), lines), "stale_feed")
    # 6 trades a minute: one every 10 s is usual, 20 s are too long.
    assert [(a["at"], a["score"] >= 20.0, a["threshold"]) for a in found] == [(360_000, True, 20.0)]
    assert found[0]["figures"]["usual_s"] == 10.0
    assert 20.0 <= found[0]["score"] < 20.3


def test_trades_that_come_later_than_before_alert() -> None:
    calm = [trade(1000 * k, k + 1) for k in range(10)]
    late = [trade(10_000 + 1000 * k, k + 11, recv=11_500 + 1000 * k) for k in range(5)]
    found = alerts(feed(engine(), [*calm, *late]), "pipeline_behind")
    assert [(a["symbol"], a["score"], a["figures"]["offset_us"]) for a in found] == [("all", 1.5, 50_000)]


# --- cuts


def journal(seed: int) -> list[Line]:
    """Return a journal of every feed on two sockets: holes in books, wide spreads, storms, silence, garbage."""
    rng = np.random.default_rng(seed)
    lines = [*beats(0, 90_000), snapshot(0, 1), snapshot(5, 1, connection=2)]
    last = {1: 1, 2: 1}
    for k in range(300):
        ms = 300 * k + int(rng.integers(0, 200))
        what, c = int(rng.integers(0, 8)), int(rng.integers(1, 3))
        if what < 3:
            skip = int(rng.random() < 0.05)
            levels = [[(str(x), str(int(rng.integers(0, 3))))] for x in (rng.integers(90, 100), rng.integers(101, 110))]
            lines.append(depth(ms, last[c] + skip, last[c] + skip + 2, levels[0], levels[1], connection=c))
            last[c] += skip + 2
        elif what < 5:
            lines.append(quote(ms, k, "99.99", "100.5" if rng.random() < 0.05 else "100.01", connection=c))
        elif what == 5:
            lines.append(forced(ms, str(rng.choice(["BUY", "SELL"])), "100", str(int(rng.integers(1, 4)))))
        elif what == 6:
            lines += [funding(ms, str(100 + rng.integers(0, 2))), frame(ms, c, e="depthUpdate", s=SYMBOL)]
        else:
            lines.append(trade(ms, k))
        if k % 60 == 59:
            lines.append(snapshot(ms + 100, last[c], connection=c))
    gone = at(50_000, Kind.DISCONNECT, msgspec.json.encode(Disconnect(VENUE, "reset")), 2)
    return in_order(*lines, gone)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000))
def test_rows_do_not_depend_on_batches_or_restores(seed: int) -> None:
    lines = journal(seed)
    whole = feed(engine(), lines)
    for name in ("quotes", "book", "liquidations", "funding", "gaps", "quarantine"):  # alerts come with some seeds only
        assert whole[name].num_rows, name
    assert feed(engine(), lines, 7) == whole
    made, out = engine(), []
    for batch in batches(lines, 61):
        out += made.feed(batch).tables
        made = Engine.restore(made.snapshot())
    assert tapes.gather(out) == whole


def test_one_record_at_a_time_gives_the_same_rows() -> None:
    lines = journal(7)
    whole = feed(engine(), lines)
    assert whole["alerts"].num_rows
    assert feed(engine(), lines, 1) == whole


@pytest.mark.parametrize("until", [20_000, 47_000, 71_000])
def test_what_is_complete_does_not_change_by_what_comes_later(until: int) -> None:
    lines = journal(3)
    whole, part = feed(engine(), lines), feed(engine(), [line for line in lines if line[0] <= at(until)[0]])
    limit = pa.scalar(DAY + until * 1000 - 5_000_000, pa.timestamp("us", tz="UTC"))
    for name in ("quotes", "book", "liquidations", "funding", "alerts"):
        tables = [t.get(name, TABLES[name].lake_schema.empty_table()) for t in (whole, part)]
        earlier, known = (rows.filter(pc.less_equal(rows["end"], limit)) for rows in tables)
        assert known == earlier, name


# --- recorded


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "venue", "rows", "quotes"),
    [
        ("usdm_btcusdt_20240718.gz", "binance-usdm", 18, None),
        ("spot_btcusdt_20240808.gz", "binance-spot", 35, 28_040),
        ("cm_btcusd_perp_20240808.gz", "binance-coinm", 35, 19_136),
        ("BINANCE_FUTURES.jsonl.zst", "binance-usdm", 12, 613),
    ],
)
def test_captures_fill_quotes_and_books(name: str, venue: str, rows: int, quotes: int | None) -> None:
    source = open_source([SHARED / "captures" / name], venue=venue)
    out = []
    for size in (100_000, 997):
        made = Engine(Kernels(), origin="history")
        made.tape_of_venue[venue] = source.tape
        for instrument in source.instruments:
            made.add(instrument, source.tape)
        tables = [t for piece in source.pieces(size=size) for t in made.feed_piece(piece, name).tables]
        out.append(tapes.gather([*tables, *made.finish().tables]))
    assert out[0] == out[1]
    books = table(out[0], "book")
    assert len(books) == rows
    assert all(r["bids"][0] < r["asks"][0] for r in books)
    assert all(r["bids"] == sorted(r["bids"], reverse=True) and r["asks"] == sorted(r["asks"]) for r in books)
    assert not [g for g in table(out[0], "gaps") if g["feed"] == "book"]
    assert "quarantine" not in out[0]
    assert quotes is None or out[0]["quotes"].num_rows == quotes
