"""From journal records to rows: clocks, order, gaps, refusals."""

from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.engine import Engine
from pipelines.market import DAY_US
from pipelines.records import Connect, Disconnect, Gap, InstrumentRecord, Instruments, Kind, Repair, Start, headed
from pipelines.venues import VENUES
from pipelines.venues.binance import Binance
from pipelines.venues.venue import Rules
from tests import tapes
from tests.tapes import DAY, Line, agg_trade

MS = DAY // 1000
SYMBOL = "AAAUSDT"


def at(ms: float, kind: Kind = Kind.HEARTBEAT, payload: bytes = b"", *, offset_ms: float = 50.0) -> Line:
    """Return a record received `offset_ms` after a venue time (ms since the start of the day)."""
    return int((MS + ms + offset_ms) * 1_000_000), kind, payload


def trade(
    ms: int, trade_id: int, price: str = "100", size: str = "1", *, recv: float | None = None, symbol: str = SYMBOL
) -> Line:
    """Return a trade frame; `recv`: venue time at which it arrives, if not at once."""
    return at(ms if recv is None else recv, Kind.FRAME, agg_trade(symbol, trade_id, MS + ms, price, size))


def gap(
    ms: float,
    kind: Kind,
    status: str,
    first: int | None = None,
    last: int | None = None,
    reason: str = "missing_ids",
    venue: str = "binance-usdm",
) -> Line:
    record = Gap(venue, SYMBOL, "trades", reason, status, first, last)
    return at(ms, kind, msgspec.json.encode(record))


def repair(ms: float, *trades: tuple[int, int], venue: str = "binance-usdm") -> Line:
    """Return a REST answer with (ms, id) trades."""
    rows = [{"a": i, "p": "100", "q": "1", "f": i, "l": i, "T": MS + t, "m": False} for t, i in trades]
    return at(ms, Kind.REPAIR, headed(Repair(venue, SYMBOL), msgspec.json.encode(rows)))


class Scattered(Binance):
    """A venue that speaks as Binance does, but whose ids do not follow each other."""

    @property
    def rules(self) -> Rules:
        return super().rules._replace(contiguous=False)


SCATTERED = "scattered"


@pytest.fixture(autouse=True)
def _scattered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VENUES, SCATTERED, Scattered(SCATTERED, "usdm"))


def beats(begin: float, end: float) -> list[Line]:
    """Return heartbeats every 250 ms."""
    return [at(begin + 250 * k) for k in range(int((end - begin) / 250))]


def in_order(*lines: Line) -> list[Line]:
    return sorted(lines, key=lambda r: r[0])


def bars(out: dict[str, pa.Table], bar: str = "1s") -> list[dict[str, Any]]:
    if "bars" not in out:
        return []
    rows = [r for r in out["bars"].to_pylist() if r["bar"] == bar]
    return [{**r, "at": int((r["ts"].timestamp() - DAY / 1e6) * 1000)} for r in rows]


def test_a_heartbeat_closes_a_bar_after_its_grace_by_the_venue_clock() -> None:
    engine = tapes.journal_engine()
    behind = -1300.0  # the receiver's clock
    lines = [(at(100, Kind.FRAME, agg_trade(SYMBOL, 1, MS + 100, "100", "1"), offset_ms=behind))]
    assert not bars(tapes.feed(engine, [*lines, at(2999, offset_ms=behind)]))
    assert [b["at"] for b in bars(tapes.feed(engine, [at(3001, offset_ms=behind)]))] == [0]


def test_the_receivers_clock_changes_no_bar() -> None:
    trades = [(100 + 37 * k, k + 1) for k in range(300)]
    results = []
    for offset in (50.0, -1300.0, 7000.0):
        lines = [at(ms, Kind.FRAME, agg_trade(SYMBOL, i, MS + ms, "100", "1"), offset_ms=offset) for ms, i in trades]
        lines += [at(250 * k, offset_ms=offset) for k in range(60)]
        results.append(tapes.feed(tapes.journal_engine(), in_order(*lines))["bars"])
    assert results[0] == results[1] == results[2]


def test_a_trade_behind_a_closed_bar_is_late_in_the_bar_that_takes_it() -> None:
    lines = in_order(trade(100, 1), *beats(0, 4000), trade(900, 2, recv=3600), trade(5000, 3), trade(6000, 4))
    rows = bars(tapes.feed(tapes.journal_engine(), lines))
    assert [(b["at"], b["trades"], b["quality"]) for b in rows] == [(0, 1, "complete"), (1000, 1, "late"), (5000, 1, "complete")]
    minute = bars(tapes.feed(tapes.journal_engine(), [*lines, *beats(63_000, 64_000)]), "1m")
    assert [(b["trades"], b["quality"]) for b in minute] == [(4, "complete")]


def test_a_trade_of_a_closed_date_is_kept_and_not_counted() -> None:
    day = 86_400_000
    lines = [trade(day - 500, 1), trade(day + 100, 2), trade(day - 100, 3, recv=day + 200), trade(day + 1200, 4)]
    out = tapes.feed(tapes.journal_engine(), lines)
    rows = {r["trade_id"]: r for r in out["trades"].to_pylist()}
    assert (rows[3]["counted"], rows[3]["flags"], str(rows[3]["date"])) == (False, ["late"], "2023-11-15")
    assert [b["trades"] for b in bars(out)] == [1, 1]
    seqs = [r["seq"] for r in out["trades"].to_pylist() if str(r["date"]) == "2023-11-15"]
    assert len(set(seqs)) == len(seqs)


def test_ids_out_of_order_come_out_in_order_each_once() -> None:
    lines = [trade(100, 1), trade(300, 3), trade(200, 2), trade(200, 2), trade(400, 4), trade(300, 3)]
    engine = tapes.journal_engine()
    out = tapes.feed(engine, lines)
    assert [(r["trade_id"], r["seq"]) for r in out["trades"].sort_by("seq").to_pylist()] == [(1, 0), (2, 1), (3, 2), (4, 3)]
    assert engine.counts["duplicates"] == 2
    assert "gaps" not in out


def test_a_hole_holds_the_tape_until_it_is_repaired() -> None:
    lines = in_order(
        trade(100, 1),
        gap(500, Kind.GAP_OPEN, "open", 2, 3),
        trade(2500, 4),
        *beats(0, 6000),
        repair(5000, (600, 2), (1500, 3)),
        gap(5001, Kind.GAP_CLOSE, "repaired", 2, 3),
        trade(6100, 5),
        trade(8000, 6),
    )
    out = tapes.feed(tapes.journal_engine(), lines)
    assert [(b["at"], b["trades"], b["quality"]) for b in bars(out)] == [
        (0, 2, "repaired"),
        (1000, 1, "repaired"),
        (2000, 1, "complete"),
        (6000, 1, "complete"),
    ]
    assert [(g["from_id"], g["to_id"], g["status"]) for g in out["gaps"].to_pylist()] == [(2, 3, "repaired")]
    flags = {r["trade_id"]: r["flags"] for r in out["trades"].to_pylist()}
    assert flags == {1: [], 2: ["repaired"], 3: ["repaired"], 4: [], 5: [], 6: []}


def test_after_ten_seconds_the_tape_goes_on_and_what_comes_later_is_late() -> None:
    lines = in_order(
        trade(100, 1), trade(400, 4), *beats(500, 14_000), repair(12_000, (200, 2)), trade(14_000, 5), trade(17_000, 6)
    )
    out = tapes.feed(tapes.journal_engine(), lines)
    first = bars(out)[0]
    assert (first["at"], first["trades"], first["quality"]) == (0, 2, "gap")
    assert [(g["from_id"], g["to_id"], g["status"]) for g in out["gaps"].to_pylist()] == [(2, 3, "open")]
    rows = {r["trade_id"]: r for r in out["trades"].to_pylist()}
    assert (rows[2]["counted"], rows[2]["flags"]) == (False, ["repaired", "late"])
    assert rows[4]["flags"] == ["after_gap"]


def test_an_unfillable_gap_lets_the_tape_go_on_at_once() -> None:
    lines = [trade(100, 1), trade(400, 4), gap(900, Kind.GAP_CLOSE, "unfillable", 2, 3), trade(1500, 5)]
    out = tapes.feed(tapes.journal_engine(), lines)
    assert [(g["from_id"], g["to_id"], g["status"]) for g in out["gaps"].to_pylist()] == [(2, 3, "unfillable")]
    assert [(b["trades"], b["quality"]) for b in bars(out)] == [(2, "gap")]


def test_a_gap_marks_vpin_windows_that_contain_it() -> None:
    held = [trade(100 * k, k + (5 if k > 20 else 0), size="1") for k in range(1, 80)]
    lines = [*held[:20], *held[20:21], gap(2150, Kind.GAP_CLOSE, "unfillable", 21, 25), *held[21:]]
    out = tapes.feed(tapes.journal_engine(), lines)
    rows = [r for r in out["vpin"].to_pylist() if r["setting"] == "v2.5x5"]
    spans = [k for k, r in enumerate(rows) if r["spans_gap"]]
    assert len(spans) == 1
    assert [k for k, r in enumerate(rows) if r["gap"]] == list(range(spans[0], spans[0] + 5))


def test_a_hole_marks_every_bar_it_reaches_into() -> None:
    """Id 2 may have been traded in any second from that of 1 to that of 3."""
    lines = [trade(900, 1), trade(4100, 3), gap(4200, Kind.GAP_CLOSE, "unfillable", 2, 2), trade(5000, 4), trade(6000, 5)]
    out = tapes.feed(tapes.journal_engine(), lines)
    assert [(b["at"], b["quality"]) for b in bars(out)] == [(0, "gap"), (4000, "gap"), (5000, "complete")]


def test_a_hole_marks_wider_bars_whose_seconds_the_clock_had_closed() -> None:
    lines = in_order(
        trade(900, 1),
        *beats(1000, 30_000),
        gap(30_000, Kind.GAP_OPEN, "open", 2, None, "reconnect"),
        *beats(30_000, 70_000),
        trade(70_000, 3),
        gap(70_001, Kind.GAP_CLOSE, "unfillable", 2, 2),
        *beats(70_250, 200_000),
    )
    out = tapes.feed(tapes.journal_engine(), lines)
    assert [(b["at"], b["quality"]) for b in bars(out)] == [(0, "complete"), (70_000, "gap")]
    assert [(b["at"], b["quality"]) for b in bars(out, "1m")] == [(0, "gap"), (60_000, "gap")]


@pytest.mark.parametrize("venue", ["binance-usdm", SCATTERED])
def test_a_halt_leaves_bars_complete(venue: str) -> None:
    """Nobody trades for a minute, and the connection is renewed meanwhile: nothing was missing."""
    lines = in_order(
        trade(100, 1),
        *beats(0, 60_000),
        gap(30_000, Kind.GAP_OPEN, "open", 2, None, "reconnect", venue),
        gap(33_000, Kind.GAP_CLOSE, "none", 2, None, "reconnect", venue),
        trade(59_000, 2),
        trade(61_000, 3),
        *beats(61_500, 130_000),
    )
    out = tapes.feed(tapes.journal_engine(venue=venue), lines)
    assert {b["quality"] for b in out["bars"].to_pylist()} == {"complete"}
    assert "gaps" not in out
    holed = [r for r in lines if r[1] != Kind.GAP_CLOSE] + [gap(59_500, Kind.GAP_CLOSE, "unfillable", 2, 2, "reconnect", venue)]
    if venue == "binance-usdm":
        holed = [trade(59_000, 3) if r == trade(59_000, 2) else trade(61_000, 4) if r == trade(61_000, 3) else r for r in holed]
    out = tapes.feed(tapes.journal_engine(venue=venue), in_order(*holed))
    assert [(b["at"], b["quality"]) for b in bars(out, "1m")] == [(0, "gap"), (60_000, "complete")]
    assert out["gaps"]["status"].to_pylist() == ["unfillable"]


@pytest.mark.parametrize("venue", ["binance-usdm", SCATTERED])
def test_a_repaired_gap_is_said_of_bars_and_marks_no_window(venue: str) -> None:
    lines = in_order(
        *(trade(100 * k, k) for k in (*range(1, 21), *range(26, 80))),
        gap(2050, Kind.GAP_OPEN, "open", 21, 25, "reconnect", venue),
        repair(4000, *((100 * k, k) for k in range(21, 26)), venue=venue),
        gap(4001, Kind.GAP_CLOSE, "repaired", 21, 25, "reconnect", venue),
    )
    out = tapes.feed(tapes.journal_engine(venue=venue), lines)
    assert [(b["at"], b["trades"], b["quality"]) for b in bars(out)][:4] == [
        (0, 9, "complete"),
        (1000, 10, "complete"),
        (2000, 10, "repaired"),
        (3000, 10, "complete"),
    ]
    assert not any(out["vpin"]["gap"].to_pylist())
    assert out["gaps"]["status"].to_pylist() == ["repaired"]
    assert out["trades"]["trade_id"].to_pylist() == list(range(1, 80))


@pytest.mark.parametrize("venue", ["binance-usdm", SCATTERED])
def test_every_window_with_a_hole_is_marked(venue: str) -> None:
    lines = in_order(
        *(trade(100 * k, k) for k in (*range(1, 21), *range(26, 80))),
        gap(2050, Kind.GAP_OPEN, "open", 21, 25, "reconnect", venue),
        gap(4001, Kind.GAP_CLOSE, "unfillable", 21, 25, "reconnect", venue),
    )
    out = tapes.feed(tapes.journal_engine(venue=venue), lines)
    windows = [r for r in out["vpin"].to_pylist() if r["setting"] == "v2.5x5"]
    spans = [k for k, r in enumerate(windows) if r["spans_gap"]]
    assert len(spans) == 1
    assert [k for k, r in enumerate(windows) if r["gap"]] == list(range(spans[0], spans[0] + 5))
    assert [(b["at"], b["quality"]) for b in bars(out)][:4] == [
        (0, "complete"),
        (1000, "complete"),
        (2000, "gap"),
        (3000, "complete"),
    ]


def connect(ms: float, venue: str = SCATTERED) -> Line:
    return at(ms, Kind.CONNECT, msgspec.json.encode(Connect(venue, "market", ["trades"], [SYMBOL])))


def test_a_lost_connection_marks_without_a_word_of_the_recorder() -> None:
    lost = at(2500, Kind.DISCONNECT, msgspec.json.encode(Disconnect(SCATTERED, "reset")))
    lines = in_order(connect(0), trade(1000, 4), trade(2000, 2), lost, connect(4000), trade(5000, 9), *beats(5100, 25_000))
    out = tapes.feed(tapes.journal_engine(venue=SCATTERED), lines)
    assert [(b["at"], b["quality"]) for b in bars(out)] == [(1000, "complete"), (2000, "gap"), (5000, "gap")]
    (hole,) = out["gaps"].to_pylist()
    assert (hole["from_id"], hole["to_id"], hole["status"], hole["reason"]) == (None, None, "open", "reconnect")
    assert (hole["end"] - hole["ts"]).total_seconds() == 3


def test_a_connection_of_two_may_be_lost() -> None:
    engine = tapes.journal_engine(venue=SCATTERED)
    both = connect(0)
    lost = at(2500, Kind.DISCONNECT, msgspec.json.encode(Disconnect(SCATTERED, "age")))
    tapes.feed(engine, [both])
    engine.carried[2] = set(engine.carried[1])
    out = tapes.feed(engine, [trade(1000, 4), lost, trade(5000, 9), trade(6000, 1)])
    assert [(b["at"], b["quality"]) for b in bars(out)] == [(1000, "complete"), (5000, "complete")]
    again = at(6500, Kind.START, msgspec.json.encode(Start("two", {})))
    out = tapes.feed(engine, [again, connect(7000), trade(8000, 5), *beats(8100, 25_000)])
    assert out["gaps"]["status"].to_pylist() == ["open"]


def test_a_tape_marks_the_bars_it_begins_in() -> None:
    lines = in_order(*(trade(30_000 * k, k) for k in range(1, 12)), *beats(0, 340_000))
    out = tapes.feed(tapes.journal_engine(begun=False), lines)
    assert [b["quality"] for b in bars(out)] == ["gap"] + ["complete"] * 10
    assert [(b["at"], b["quality"]) for b in bars(out, "1m")][:2] == [(0, "gap"), (60_000, "complete")]
    assert [(b["at"], b["quality"]) for b in bars(out, "5m")] == [(0, "gap")]
    assert [b["quality"] for b in bars(out, "tick:7")] == ["complete"]
    assert not any(out["vpin"]["gap"].to_pylist())


@pytest.mark.parametrize("complete", [False, True])
def test_a_bounded_tape_marks_the_bars_it_ends_in(complete: bool) -> None:
    engine = Engine(tapes.KERNELS, origin="history", complete=complete)
    engine.add(tapes.INSTRUMENTS[0], "agg")
    engine.signals.begun[:] = True
    lines = in_order(trade(59_500, 1), trade(61_500, 2), *beats(0, 130_000), trade(125_000, 3))
    out = tapes.gather([*(t for b in tapes.batches(lines) for t in engine.feed(b).tables), *engine.finish().tables])
    last = "complete" if complete else "gap"
    assert [(b["at"], b["quality"]) for b in bars(out)] == [(59_000, "complete"), (61_000, "complete"), (125_000, "complete")]
    assert [(b["at"], b["quality"]) for b in bars(out, "1m")] == [(0, "complete"), (60_000, "complete"), (120_000, last)]
    assert [b["quality"] for b in bars(out, "1d")] == [last]


def test_a_restored_tape_goes_on_unmarked() -> None:
    engine = tapes.journal_engine(begun=False)
    tapes.feed(engine, [trade(100, 1), trade(1100, 2)])
    out = tapes.feed(Engine.restore(engine.snapshot()), [trade(2100, 3), trade(3100, 4)])
    assert [(b["at"], b["quality"]) for b in bars(out)] == [(1000, "complete"), (2000, "complete")]


def test_what_was_left_out_before_a_date_is_no_beginning() -> None:
    """`rebuild --from`: the tape went on before the first date that is stored."""
    day = 86_400_000
    engine = tapes.journal_engine(begun=False)
    engine.from_day = tapes.DAY + DAY_US
    out = tapes.feed(engine, [trade(day - 500, 1), trade(day + 100, 2), trade(day + 1100, 3), trade(day + 2100, 4)])
    assert [b["quality"] for b in bars(out)] == ["complete"] * 2


def test_contracts_become_base_in_every_row() -> None:
    engine = Engine(tapes.KERNELS, shard="main")
    listed = InstrumentRecord("AAA-USD-PERP", SYMBOL, "AAA", "USD", contract="10", inverse=True)
    named = at(0, Kind.INSTRUMENTS, msgspec.json.encode(Instruments("binance-usdm", [listed])))
    lines = [
        named,
        connect(1, "binance-usdm"),
        trade(100, 1, "200", "30"),
        gap(150, Kind.GAP_OPEN, "open", 2, 2),
        repair(200, (110, 2)),
        trade(300, 3, "999999999999", "1"),
        trade(1400, 4, "200", "1"),
    ]
    out = tapes.feed(engine, lines)
    got = [(r["trade_id"], r["size"], r["contracts"]) for r in out["trades"].to_pylist()]
    assert got == [(1, 1.5, 30.0), (2, 0.1, 1.0), (4, 0.05, 1.0)]
    assert [("contracts" in r["reason"]) for r in out["quarantine"].to_pylist()] == [True]
    assert bars(out)[0]["volume"] == 1.6


def test_a_contract_of_no_value_is_refused_and_the_other_instruments_are_kept() -> None:
    engine = Engine(tapes.KERNELS, shard="main")
    bad = InstrumentRecord("AAA-USD-PERP", SYMBOL, "AAA", "USD", contract="0")
    good = InstrumentRecord("BBB-USD-PERP", "BBBUSDT", "BBB", "USD", contract="0.1")
    out = tapes.feed(engine, [at(0, Kind.INSTRUMENTS, msgspec.json.encode(Instruments("binance-usdm", [bad, good])))])
    assert out["instruments"]["symbol"].to_pylist() == ["BBB-USD-PERP"]
    assert "AAA-USD-PERP" in out["quarantine"]["reason"].to_pylist()[0]


def test_heartbeats_close_nothing_while_a_gap_is_open_and_mark_it_after_ten_seconds() -> None:
    lines = in_order(trade(100, 1), gap(500, Kind.GAP_OPEN, "open", 2, None, "reconnect"), *beats(600, 10_000))
    engine = tapes.journal_engine()
    assert not bars(tapes.feed(engine, lines))
    assert [(b["at"], b["quality"]) for b in bars(tapes.feed(engine, beats(10_600, 11_200)))] == [(0, "gap")]


def test_a_trade_from_the_future_is_refused_and_its_id_is_used_up() -> None:
    lines = [trade(100, 1), trade(60_000, 2, recv=200), trade(300, 3), trade(1500, 4)]
    out = tapes.feed(tapes.journal_engine(), lines)
    assert [r["trade_id"] for r in out["trades"].to_pylist()] == [1, 3, 4]
    assert ["ahead" in r["reason"] for r in out["quarantine"].to_pylist()] == [True]


def test_a_stale_first_trade_does_not_make_the_next_ones_look_early() -> None:
    lines = [trade(100, 1, recv=40_000), trade(40_100, 2), trade(41_500, 3)]
    assert tapes.feed(tapes.journal_engine(), lines)["trades"].num_rows == 3


def test_one_absurd_id_does_not_stop_the_tape() -> None:
    lines = in_order(trade(50, 1), trade(100, 9_000_000_000), *(trade(100 + 100 * k, k) for k in range(2, 150)))
    out = tapes.feed(tapes.journal_engine(), lines)
    assert all(r["counted"] for r in out["trades"].to_pylist())
    assert out["trades"].num_rows == 149
    assert ["far from" in r["reason"] for r in out["quarantine"].to_pylist()] == [True]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"stream":"x@aggTrade","data":{"e":"aggTrade"}}',
        b"9" * 1000,
        agg_trade(SYMBOL, 2, MS + 200, "0", "1"),
        agg_trade(SYMBOL, 2, MS + 200, "-1", "1"),
        agg_trade(SYMBOL, 2, MS + 200, "1e308", "1"),
        agg_trade(SYMBOL, 2, MS + 200, "100", "0"),
        agg_trade(SYMBOL, 2, MS + 200, "100.1234567890123456", "1"),
        agg_trade(SYMBOL, 2, MS + 200, "100", "0.0000000001"),
        agg_trade("ZZZUSDT", 2, MS + 200, "100", "1"),
    ],
)
def test_bad_frames_are_quarantined_once_and_the_feed_goes_on(payload: bytes) -> None:
    lines = [
        trade(100, 1),
        at(200, Kind.FRAME, payload),
        trade(300, 2 if b'"a":2' not in payload or b"ZZZ" in payload else 3),
        trade(1500, 4),
    ]
    lines[3] = trade(1500, 3 if b'"a":2' not in payload or b"ZZZ" in payload else 4)
    out = tapes.feed(tapes.journal_engine(), lines)
    assert out["trades"].num_rows == 3
    refused = out["quarantine"].to_pylist()
    assert len(refused) == 1
    assert refused[0]["frame"] == payload.decode(errors="replace")
    assert refused[0]["reason"]
    assert (refused[0]["segment"], refused[0]["offset"]) == ("seg-0000000001.tfj", 100)


def test_damaged_control_records_are_quarantined() -> None:
    lines = [trade(100, 1), at(200, Kind.SETTINGS, b'{"bars":["9x"]}'), at(300, Kind.GAP_OPEN, b"nothing"), trade(400, 2)]
    out = tapes.feed(tapes.journal_engine(), lines)
    assert out["trades"].num_rows == 2
    assert out["quarantine"].num_rows == 2


def journal(seed: int, venue: str = "binance-usdm") -> list[Line]:
    """Return a journal with everything in it: two instruments, holes, repairs, repeats, heartbeats, garbage."""
    tape = tapes.rows(seed, 300, span_us=40_000_000)
    lines: list[Line] = []
    for k, row in enumerate(tape):
        native = tapes.INSTRUMENTS[int(row["instrument"])].native
        ms = int(row["ts"]) // 1000 - MS
        frame = agg_trade(native, int(row["trade_id"]), MS + ms, repr(float(row["price"])), repr(float(row["size"])))
        if k % 37 == 5 and native == SYMBOL:
            lines.append(repair(ms + 900 + 11_000 * (k % 2), (ms, int(row["trade_id"])), venue=venue))
        elif k % 41 != 7:
            lines.append(at(ms + (400 if k % 29 == 3 else 0), Kind.FRAME, frame))
        if k % 23 == 9:
            lines.append(at(ms + 10, Kind.FRAME, frame))
        if k % 53 == 11:
            lines.append(at(ms, Kind.FRAME, frame[: len(frame) // 2]))
    lines += beats(0, 45_000)
    lines += [gap(9000, Kind.GAP_OPEN, "open", None, None, "reconnect", venue)]
    lines += [gap(11_000, Kind.GAP_CLOSE, "none", venue=venue), gap(20_000, Kind.GAP_OPEN, "open", venue=venue)]
    lines.append(gap(27_000, Kind.GAP_CLOSE, "unfillable", 1000, 1020, venue=venue))
    return in_order(*lines)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(0, 1000), st.lists(st.integers(1, 500), max_size=10), st.sampled_from(["binance-usdm", SCATTERED]))
def test_rows_do_not_depend_on_batches_or_restores(seed: int, cuts: list[int], venue: str) -> None:
    lines = journal(seed, venue)
    whole = tapes.feed(tapes.journal_engine(venue=venue, begun=False), lines)
    engine, out = tapes.journal_engine(venue=venue, begun=False), []
    for batch in tapes.batches(lines, sorted(set(cuts))):
        out += engine.feed(batch).tables
        engine = Engine.restore(engine.snapshot())
    assert tapes.gather(out) == whole
    for name in ("trades", "bars", "vpin", "alerts", "gaps", "quarantine"):
        assert whole[name].num_rows


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("venue", ["binance-usdm", SCATTERED])
def test_the_size_of_batches_changes_nothing(venue: str, size: int) -> None:
    lines = journal(7, venue)
    whole, parts = (tapes.feed(tapes.journal_engine(venue=venue), lines, cuts) for cuts in ((), range(size, len(lines), size)))
    assert parts == whole


def test_a_snapshot_of_another_version_is_refused() -> None:
    _, attributes = pickle.loads(tapes.journal_engine().snapshot())
    state = pickle.dumps((99, attributes))
    with pytest.raises(ValueError, match="version 99"):
        Engine.restore(state)
