"""Bars and VPIN of recordings against the slow reference: H of the accuracy goals."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.engine import Engine
from pipelines.market import BAR_WIDTHS_US, DAY_US
from pipelines.settings import Kernels
from pipelines.sources import open_source
from tests import reference, tapes
from tests.conftest import SHARED
from tests.pipelines.test_signals import FIGURES, of

ADAPTIVE = ("imbalance:tick:ewma:40", "imbalance:volume:ewma:40", "run:dollar:ewma:40")
RECORDED = {
    "trades/freqtrade_XRP_OLD-trades.json.gz": ("binance-spot", "1500", "3"),
    "trades/tardis_binance-futures_BTCUSDT_trades_20200222.csv.gz": ("binance-usdm", "8", "50000"),
    "captures/usdm_ethusdt_20240719.gz": ("binance-usdm", "12", "100000"),
}
Trades = list[reference.Trade]


def tables(name: str, kernels: Kernels) -> dict[str, pa.Table]:
    """Return all rows of a recording."""
    source = open_source([SHARED / name], venue=RECORDED[name][0])
    engine = Engine(kernels, origin="history")
    engine.tape_of_venue[source.venue] = source.tape
    for instrument in source.instruments:
        engine.add(instrument, source.tape)
    out: list[tuple[str, pa.Table]] = []
    for piece in source.pieces():
        out += engine.feed_piece(piece, name).tables
    return tapes.gather([*out, *engine.finish().tables])


def by_date(table: pa.Table) -> list[Trades]:
    """Return the counted trades of a tape, date by date, in tape order."""
    rows = of(table.filter(table["counted"]).append_column("day", table.filter(table["counted"])["date"].cast(pa.int32())))
    dates: dict[int, Trades] = {}
    now = 0
    for row in sorted(rows, key=lambda r: (r["day"], r["seq"])):
        now = max(now, row["ts"])
        price, size = Fraction(repr(row["price"])), Fraction(repr(row["size"]))
        trade = {"id": row["trade_id"], "ts": row["ts"], "eff": now, "p": price, "q": size, "s": row["side"]}
        dates.setdefault(row["day"], []).append(trade)
    return [dates[day] for day in sorted(dates)]


def figures(rows: list[dict[str, Any]], *more: str) -> list[dict[str, Any]]:
    return [{name: row[name] for name in (*FIGURES, *more)} for row in rows]


@pytest.mark.real
@pytest.mark.parametrize("name", RECORDED)
def test_bars_of_a_recording_equal_the_reference_to_the_bit(name: str) -> None:
    _, volume, notional = RECORDED[name]
    fixed = (
        f"imbalance:volume:{volume}",
        f"imbalance:dollar:{notional}",
        f"run:volume:{volume}",
        "imbalance:tick:20",
        "run:tick:30",
    )
    out = tables(name, Kernels(bars=(*BAR_WIDTHS_US, "tick:50", *fixed, *ADAPTIVE), vpin=()))
    dates = by_date(out["trades"])
    for bar, width in BAR_WIDTHS_US.items():
        theirs = reference.time_bars([t for date in dates for t in date], width)
        assert figures(of(out["bars"], bar=bar)) == theirs
    whole = {bar: of(out["bars"], bar=bar, partial=False) for bar in ("tick:50", *fixed, *ADAPTIVE)}
    assert figures(whole["tick:50"]) == [b for d in dates for b in reference.threshold_bars(d, "tick", Fraction(50))]
    for bar in fixed:
        rule, measure, number = bar.split(":")
        theirs = [b for d in dates for b in reference.imbalance_bars(d, rule, measure, Fraction(number))]
        assert figures(whole[bar], "imbalance") == theirs
        assert len(theirs) > 20
    for bar in ADAPTIVE:
        rule, measure, _, nominal = bar.split(":")
        total = {"tick": "trades", "volume": "volume", "dollar": "notional"}[measure]
        made: list[dict[str, Any]] = []
        for date in dates:
            past = [(float(b["trades"]), b["imbalance"], float(b[total])) for b in made]
            made += reference.adaptive_bars(date, rule, measure, int(nominal), past)
        assert figures(whole[bar], "imbalance") == [{k: v for k, v in b.items() if k != "threshold"} for b in made]
        assert np.allclose([b["threshold"] for b in whole[bar]], [b["threshold"] for b in made], rtol=1.1e-11, atol=0)
        assert len(made) > 20


@pytest.mark.real
@pytest.mark.parametrize("name", RECORDED)
def test_vpin_of_a_recording_equals_the_reference(name: str) -> None:
    volume = RECORDED[name][1]
    out = tables(name, Kernels(bars=("1m",), vpin=(f"v{volume}x20", f"v{volume}x7"), percentile_min=20, percentile_window=100))
    dates = by_date(out["trades"])
    minutes = reference.shares_bought([t for date in dates for t in date])
    for n in (20, 7):
        rows = of(out["vpin"], setting=f"v{volume}x{n}", partial=False)
        first = [r for r in rows if (r["end"] - 1) // DAY_US == (rows[0]["end"] - 1) // DAY_US]
        theirs = reference.vpin(dates[0], Fraction(volume), n)
        assert len(theirs) > 50
        for ours, b in zip(first, theirs, strict=True):
            assert (ours["ts"], ours["end"], ours["buy_volume"], ours["imbalance"]) == (
                b["ts"],
                b["end"],
                float(b["buy"]),
                float(b["imbalance"]),
            )
            assert ours["vpin_flag"] == (None if b["vpin"] is None else float(b["vpin"]))
        known = [r["vpin_flag"] for r in rows if r["vpin_flag"] is not None]
        assert [r["pct"] for r in rows if r["vpin_flag"] is not None] == reference.percentiles(known, 100, 20)
        values = [r["vpin_bvc"] for r in rows]
        expected = reference.bulk_vpin(minutes, Fraction(volume), n, [r["end"] for r in rows])
        assert [x is None for x in values] == [x is None for x in expected]
        assert np.allclose([x or 0 for x in values], [x or 0 for x in expected], rtol=1e-12, atol=1e-12)


@pytest.mark.real
def test_bulk_classification_is_not_the_flags() -> None:
    """Two days of a real tape: both are known, and they are different things."""
    out = tables("trades/freqtrade_XRP_OLD-trades.json.gz", Kernels(bars=("1m",), vpin=("v1500x20",)))
    both = out["vpin"].filter(pc.and_(pc.is_valid(out["vpin"]["vpin_flag"]), pc.is_valid(out["vpin"]["vpin_bvc"])))
    flag, bulk = both["vpin_flag"].to_numpy(), both["vpin_bvc"].to_numpy()
    assert flag.size > 100
    assert 0 <= bulk.min() < bulk.max() <= 1
    assert abs(np.corrcoef(flag, bulk)[0, 1]) < 0.9
