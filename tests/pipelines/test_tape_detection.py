"""Detectors on the tape: cascade-like minutes, and prices that come apart between venues."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import tape
from pipelines.detector_settings import CascadeProxy, Detectors, Dislocation
from pipelines.market import Instrument
from pipelines.records import Connect, Kind
from pipelines.settings import Kernels
from pipelines.signals import Signals
from tests import tapes
from tests.tapes import DAY

MINUTE = 60_000_000
SECOND = 1_000_000
SETTINGS = Kernels(
    bars=("1s", "1m"),
    vpin=(),
    detectors=Detectors(
        cascade_proxy=CascadeProxy(window=10, move=3.0, volume=2.0, one_sided=0.5),
        dislocation=Dislocation(window=30, threshold_bps=50.0, seconds=2),
    ),
)
WHERE = [
    Instrument("binance-usdm", "AAA-USDT-PERP", "AAAUSDT", "AAA", "USDT"),
    Instrument("okx", "AAA-USDT-PERP", "AAA-USDT-SWAP", "AAA", "USDT"),
    Instrument("bybit-linear", "AAA-USDT-PERP", "AAAUSDT", "AAA", "USDT"),
    Instrument("okx", "AAA-USDT", "AAA-USDT", "AAA", "USDT"),
]


def signals(instruments: list[Instrument]) -> Signals:
    made = Signals(SETTINGS, "history")
    for instrument in instruments:
        made.add(instrument)
    return made


def rows(*trades: tuple[int, float, float, int, int]) -> tape.Rows:
    """Return (us since the start of the day, price, size, side, instrument) as a tape."""
    out = tape.empty(len(trades))
    for k, (ts, price, size, side, i) in enumerate(sorted(trades)):
        out[k]["ts"], out[k]["price"], out[k]["size"], out[k]["side"], out[k]["instrument"] = DAY + ts, price, size, side, i
    out["trade_id"] = np.arange(out.size)
    return out


def alerts(out: dict[str, pa.Table], detector: str) -> list[dict[str, Any]]:
    found = out["alerts"].to_pylist() if "alerts" in out else []
    return [
        {**r, "at": round(r["ts"].timestamp() * 1e6) - DAY, "figures": msgspec.json.decode(r["details"])}
        for r in found
        if r["detector"] == detector
    ]


# --- cascades


def minutes(*, last: tuple[float, float, float]) -> tape.Rows:
    """Return minutes 0 to 11 whose closes alternate between 100 and 101, volume 2, then one of (price, bought, sold)."""
    price, bought, sold = last
    calm = [(MINUTE * m, 100.0 + m % 2, 1.0, side, 0) for m in range(12) for side in (1, -1)]
    return rows(*calm, (12 * MINUTE, price, bought, 1, 0), (12 * MINUTE + 1000, price, sold, -1, 0))


def test_a_jump_on_high_one_sided_volume_looks_like_a_cascade() -> None:
    out = tapes.run(signals(WHERE[:1]), minutes(last=(97.0, 1.0, 5.0)))
    (found,) = alerts(out, "cascade_proxy")
    usual = math.log(101 / 100)  # every minute of the window moved by as much
    assert found["at"] == 12 * MINUTE
    assert found["score"] == pytest.approx(math.log(101 / 97) / usual)
    assert found["figures"]["volume_ratio"] == 3.0
    assert found["figures"]["one_sided"] == pytest.approx(-2 / 3)
    assert "cascade-like (no liquidation data)" in found["label"]


@pytest.mark.parametrize(
    "last",
    [(98.5, 1.0, 5.0), (97.0, 0.5, 3.0), (97.0, 2.5, 3.5), (97.0, 5.0, 1.0)],
    ids=["too small a move", "too little volume", "not one-sided", "against the move"],
)
def test_each_condition_must_hold(last: tuple[float, float, float]) -> None:
    assert not alerts(tapes.run(signals(WHERE[:1]), minutes(last=last)), "cascade_proxy")


def test_until_the_window_is_full_there_is_no_baseline() -> None:
    tape_rows = minutes(last=(97.0, 1.0, 5.0))
    assert not alerts(tapes.run(signals(WHERE[:1]), tape_rows[4:]), "cascade_proxy")


def test_minutes_without_trades_count_as_zeros() -> None:
    tape_rows = minutes(last=(97.0, 1.0, 5.0))
    tape_rows["ts"][-2:] += 8 * MINUTE
    assert not alerts(tapes.run(signals(WHERE[:1]), tape_rows), "cascade_proxy"), "eight zeros: the median is 0"


def test_where_liquidations_are_recorded_nothing_is_guessed() -> None:
    engine = tapes.journal_engine(SETTINGS)
    opened = Connect("binance-usdm", "market", ["trades", "liquidations"], ["AAAUSDT"])
    tapes.feed(engine, [(DAY * 1000, Kind.CONNECT, msgspec.json.encode(opened))])
    assert engine.signals.on_tape.cascades.forced == {0}
    assert not alerts(tapes.run(engine.signals, minutes(last=(97.0, 1.0, 5.0))), "cascade_proxy")


# --- dislocations


def apart(*, at: int = 180, seconds: int = 3, by: float = 1.01, venues: int = 2) -> tape.Rows:
    """Return a trade a second and venue for 200 s, the second venue 10 bps above; it goes up by `by` for some seconds."""
    trades = []
    for s in range(200):
        for i in range(venues):
            price = 100.1 if i == 1 else 100.0
            trades.append((SECOND * s + 1000 * i, price * (by if i == 1 and at <= s < at + seconds else 1.0), 1.0, 1, i))
    return rows(*trades)


def test_prices_further_apart_than_usual_alert_once() -> None:
    (found,) = alerts(tapes.run(signals(WHERE[:3]), apart(venues=3)), "dislocation")
    assert (found["venue"], found["symbol"], found["at"]) == ("okx", "AAA-USDT-PERP", 181 * SECOND)
    assert found["score"] == pytest.approx(1e4 * math.log(1.01))
    legs = found["figures"]["venues"]
    assert list(legs) == ["binance-usdm", "okx", "bybit-linear"]
    assert legs["okx"]["usual_bps"] == pytest.approx(1e4 * math.log(1.001))
    assert legs["binance-usdm"]["close"] == pytest.approx(100.0)


@pytest.mark.parametrize(
    "tape_rows",
    [apart(seconds=1), apart(by=1.004), apart(at=130)],
    ids=["too short", "too little", "before the window is full"],
)
def test_less_is_no_dislocation(tape_rows: tape.Rows) -> None:
    assert not alerts(tapes.run(signals(WHERE[:2]), tape_rows), "dislocation")


def test_only_the_same_symbol_is_compared() -> None:
    made = signals([WHERE[0], WHERE[3]])
    assert not alerts(tapes.run(made, apart()), "dislocation")
    assert not made.on_tape.dislocations.groups


def test_a_second_waits_for_every_venue() -> None:
    made, tape_rows = signals(WHERE[:2]), apart()
    first, second = (tape_rows[tape_rows["instrument"] == i].copy() for i in range(2))
    made.prepare(first)
    made.feed(first)
    made.prepare(second[:182])
    made.feed(second[:182])
    assert not alerts(tapes.gather(made.take()), "dislocation"), "second 181 is open at one of them"
    made.prepare(second[182:])
    made.feed(second[182:])
    assert [a["at"] for a in alerts(tapes.gather(made.take()), "dislocation")] == [181 * SECOND]


def test_a_venue_that_stops_is_left_out_after_two_seconds() -> None:
    tape_rows = apart(seconds=20)
    kept = tape_rows[(tape_rows["instrument"] == 1) | (tape_rows["ts"] < DAY + 179 * SECOND)]
    assert not alerts(tapes.run(signals(WHERE[:2]), kept), "dislocation")


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers(1, 599), max_size=6))
def test_alerts_do_not_depend_on_cuts(cuts: list[int]) -> None:
    tape_rows = apart(venues=3)
    whole = tapes.run(signals(WHERE[:3]), tape_rows)
    assert tapes.run(signals(WHERE[:3]), tape_rows, sorted(set(cuts))) == whole
