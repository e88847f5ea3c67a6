"""A made-up day of trades: a function of its seed, lifelike in what costs time (bursts, unpredictable sides)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipelines import tape
from pipelines.market import DAY_US, Instrument

DAY = 19_676 * DAY_US
"""2023-11-15, us."""


def instruments(n: int) -> list[Instrument]:
    """Return `n` instruments of Binance USD-M."""
    names = [f"C{i:02}" for i in range(n)]
    return [Instrument("binance-usdm", f"{c}-USDT-PERP", f"{c}USDT", c, "USDT") for c in names]


def day(n: int, symbols: int, seed: int = 7, begin: int = DAY, span: int = DAY_US) -> tape.Rows:
    """Return `n` aggregates of several symbols in order, spread over `span` us from `begin` on."""
    rng = np.random.default_rng(seed)
    rows = tape.empty(n)
    rows["instrument"] = rng.integers(0, symbols, n)
    waits = np.cumsum(rng.lognormal(0, 1.5, n))
    rows["ts"] = begin + (waits / waits[-1] * (span - 1_000_000)).astype(np.int64) // 1000 * 1000
    rows["recv_ns"] = rows["ts"] * 1000 + 20_000_000
    rows["price"] = (900_000 + np.cumsum(rng.choice([-1, 0, 1], n, p=[0.15, 0.7, 0.15]))) / 10
    rows["size"] = np.maximum(1, np.rint(rng.lognormal(3, 1.5, n))) / 1000
    rows["side"] = rng.choice([-1, 1], n)
    for i in range(symbols):
        mine = rows["instrument"] == i
        rows["trade_id"][mine] = np.arange(1, mine.sum() + 1)
    rows["first_fill"], rows["last_fill"] = 2 * rows["trade_id"], 2 * rows["trade_id"] + 1
    rows["fills"] = 2
    return rows


def plain(rows: tape.Rows, symbols: int) -> pa.Table:
    """Return what a query needs of a tape, as anyone might keep it."""
    names = pa.array([i.symbol for i in instruments(symbols)])
    return pa.table(
        {
            "symbol": names.take(pa.array(rows["instrument"])),
            "ts": pa.array(rows["ts"]).cast(pa.timestamp("us", tz="UTC")),
            "price": pa.array(rows["price"]),
            "size": pa.array(rows["size"]),
            "side": pa.array(rows["side"]),
        }
    )
