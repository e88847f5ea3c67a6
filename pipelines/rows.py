"""From the integers of kernels to the rows of tables: each figure is rounded to float64 once, here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.kernels.bar import Bars
from pipelines.kernels.wide import join
from pipelines.market import DAY_US, TABLES, TIME, Flag
from pipelines.tape import Rows

_EXACT = np.uint64(1 << 53)
_ZERO = np.uint64(0)
_QUALITIES = np.array(["complete", "repaired", "late", "gap"])


def ratio(hi: npt.NDArray[np.uint64], lo: npt.NDArray[np.uint64], divisor: list[int]) -> npt.NDArray[np.float64]:
    """Return (hi, lo) / divisor, correctly rounded.

    Parameters
    ----------
    hi, lo : uint64, (n,)
        Limbs of the numerators.
    divisor : list of int, n
        Positive.
    """
    small = np.array([min(d, 1 << 53) for d in divisor], np.uint64)
    exact = (hi == _ZERO) & (lo < _EXACT) & (small < _EXACT)
    out = lo.astype(np.float64) / small.astype(np.float64)
    for k in np.flatnonzero(~exact):
        out[k] = join(hi[k], lo[k]) / divisor[k]
    return out


def scaled(hi: npt.NDArray[np.uint64], lo: npt.NDArray[np.uint64], places: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return (hi, lo) * 10**-places, correctly rounded; places: int64, (n,)."""
    exact = (hi == _ZERO) & (lo < _EXACT) & (places <= 22)
    out = lo.astype(np.float64) / 10.0 ** np.minimum(places, 22)
    for k in np.flatnonzero(~exact):
        out[k] = join(hi[k], lo[k]) / 10 ** int(places[k])
    return out


def time(us: npt.NDArray[np.int64]) -> pa.Array:
    """Return microseconds since 1970 as a column of times."""
    return pa.array(us, pa.int64()).cast(TIME)


def date(us: npt.NDArray[np.int64]) -> pa.Array:
    """Return the UTC dates of microseconds since 1970."""
    return pa.array((us // DAY_US).astype(np.int32), pa.int32()).cast(pa.date32())


def words(values: list[str], index: npt.NDArray[np.integer]) -> pa.Array:
    """Return `values[index]` as a column of strings."""
    return pa.array(values, pa.string()).take(pa.array(index))


def constant(value: str, n: int) -> pa.Array:
    """Return a column that says `value` n times."""
    return pa.repeat(pa.scalar(value, pa.string()), n)


def or_null(values: npt.NDArray[np.float64]) -> pa.Array:
    """Return a column in which NaN is null."""
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def table(name: str, columns: dict[str, pa.Array]) -> pa.Table:
    """Return rows of table `name` in the order and types of its schema (date and venue included)."""
    schema = TABLES[name].lake_schema
    return pa.table(
        [
            pa.array(columns[f.name], f.type) if isinstance(columns[f.name], list) else columns[f.name].cast(f.type)
            for f in schema
        ],
        schema=schema,
    )


def trades(rows: Rows, venues: list[str], symbols: list[str], tapes: list[str]) -> pa.Table:
    """Return trades as rows of table `trades`; venues, symbols and tapes are by instrument."""
    n = rows.size
    instrument = rows["instrument"]
    recv = rows["recv_ns"] // 1000
    first, last = rows["first_fill"], rows["last_fill"]
    distinct, which = np.unique(rows["flags"], return_inverse=True)
    lists = pa.array([Flag(int(f)).words() for f in distinct], pa.list_(pa.string()))
    ts = time(rows["ts"])
    return table(
        "trades",
        {
            "date": date(rows["ts"]),
            "venue": words(venues, instrument),
            "symbol": words(symbols, instrument),
            "trade_id": pa.array(rows["trade_id"]),
            "ts": ts,
            "end": ts,
            "seq": pa.array(rows["seq"]),
            "recv_ts": pa.array(recv, pa.int64(), mask=recv == 0).cast(TIME),
            "price": pa.array(rows["price"]),
            "size": pa.array(rows["size"]),
            "contracts": or_null(rows["contracts"]),
            "side": pa.array(rows["side"]),
            "tape": words(tapes, instrument),
            "first_fill": pa.array(first, pa.int64(), mask=first < 0),
            "last_fill": pa.array(last, pa.int64(), mask=last < 0),
            "fills": pa.array(rows["fills"]),
            "counted": pa.array(rows["counted"]),
            "flags": lists.take(pa.array(which.reshape(n))),
        },
    )


def bars(
    closed: Bars,
    name: str,
    level: int,
    venues: list[str],
    symbols: list[str],
    price_places: npt.NDArray[np.int64],
    size_places: npt.NDArray[np.int64],
) -> pa.Table:
    """Return closed bars as rows of table `bars`.

    `level` is the place of a time bar in market.BAR_WIDTHS_US (-1: no time bar); places are by instrument.
    """
    n = closed.size
    instrument = closed["instrument"]
    pp, sp = price_places[instrument], size_places[instrument]
    tens = [10 ** int(p) for p in pp]
    volumes = [join(hi, lo) for hi, lo in zip(closed["volume_hi"], closed["volume_lo"], strict=True)]
    late = (closed["late"] >> level) & 1 == 1 if level >= 0 else closed["late"] < 0
    quality = np.where(closed["gap"], 3, np.where(late, 2, np.where(closed["repaired"], 1, 0)))
    prices = {f: pa.array(closed[f] / 10.0**pp) for f in ("open", "high", "low", "close")}
    return table(
        "bars",
        {
            "date": date(closed["ts"]) if level >= 0 else date(closed["end"] - closed["partial"]),
            "venue": words(venues, instrument),
            "symbol": words(symbols, instrument),
            "bar": constant(name, n),
            "ts": time(closed["ts"]),
            "first_id": pa.array(closed["first_id"]),
            "end": time(closed["end"]),
            "threshold": or_null(closed["threshold"]),
            **prices,
            "volume": pa.array(scaled(closed["volume_hi"], closed["volume_lo"], sp)),
            "buy_volume": pa.array(scaled(closed["buy_hi"], closed["buy_lo"], sp)),
            "notional": pa.array(scaled(closed["notional_hi"], closed["notional_lo"], pp + sp)),
            "vwap": pa.array(
                ratio(closed["notional_hi"], closed["notional_lo"], [v * t for v, t in zip(volumes, tens, strict=True)])
            ),
            "trades": pa.array(closed["trades"]),
            "fills": pa.array(closed["fills"]),
            "last_id": pa.array(closed["last_id"]),
            "partial": pa.array(closed["partial"]),
            "quality": words(_QUALITIES.tolist(), quality),
        },
    )
