"""Rows of the tables quotes, book, liquidations and funding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.feeds import Level
from pipelines.market import Instrument
from pipelines.rows import date, table, time, words
from pipelines.schema import TIME

FORCED = np.dtype(
    [
        ("instrument", np.int64),
        ("ts", np.int64),  # us
        ("recv_ns", np.int64),
        ("seq", np.int64),
        ("side", np.int8),  # of the forced order
        ("price", np.float64),
        ("size", np.float64),  # base
        ("contracts", np.float64),  # NaN: the venue does not count in contracts
        ("sampled", np.bool_),
    ]
)
"""A liquidation, in units of base."""

CARRY: Final = np.dtype(
    [
        ("instrument", np.int64),
        ("ts", np.int64),  # us
        ("seq", np.int64),
        ("next_ts", np.int64),  # us; 0: not said
        ("rate", np.float64),  # NaN: not said, of these four
        ("mark_price", np.float64),
        ("index_price", np.float64),
        ("open_interest", np.float64),  # base
    ]
)
"""A message about funding."""

Array = npt.NDArray[np.void]


class Snapshot(NamedTuple):
    """The best levels of a book at a moment `ts`, and when it was last updated (`of`; us, 0: the venue does not say)."""

    instrument: int
    ts: int
    of: int
    update_id: int
    bids: list[Level]
    asks: list[Level]
    connection: int
    resyncs: int


def _places(instrument: npt.NDArray[np.integer], of: Sequence[Instrument], ts: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
    return {
        "date": date(ts),
        "venue": words([x.venue for x in of], instrument),
        "symbol": words([x.symbol for x in of], instrument),
        "ts": time(ts),
        "end": time(ts),
    }


def _recv(recv_ns: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(recv_ns // 1000, pa.int64(), mask=recv_ns == 0).view(TIME)


def _or_null(values: npt.NDArray[np.float64], unknown: npt.NDArray[np.bool_]) -> pa.Array:
    return pa.array(values, pa.float64(), mask=unknown)


def quotes(rows: Array, recv_ns: npt.NDArray[np.int64], seq: npt.NDArray[np.int64], of: Sequence[Instrument]) -> pa.Table:
    """Return quotes (`feeds.QUOTE`, instruments set, sizes in base) as rows of table `quotes`."""
    update = rows["update_id"]
    columns = _places(rows["instrument"], of, rows["ts"])
    columns |= {"seq": pa.array(seq), "recv_ts": _recv(recv_ns), "update_id": pa.array(update, pa.int64(), mask=update <= 0)}
    for side in ("bid", "ask"):
        nobody = rows[side] <= 0
        columns |= {side: _or_null(rows[side], nobody), f"{side}_size": _or_null(rows[f"{side}_size"], nobody)}
    return table("quotes", columns)


def book(shown: Sequence[Snapshot], sizes: Sequence[tuple[list[float], list[float]]], of: Sequence[Instrument]) -> pa.Table:
    """Return snapshots as rows of table `book`; `sizes` of bids and asks in units of base."""
    ts = np.array([s.ts for s in shown], np.int64)
    columns = _places(np.array([s.instrument for s in shown]), of, ts) | {
        "update_id": [s.update_id if s.update_id >= 0 else None for s in shown],
        "age_us": [s.ts - s.of if s.of else None for s in shown],
        "bids": [[float(price) for price, _ in s.bids] for s in shown],
        "bid_sizes": [bids for bids, _ in sizes],
        "asks": [[float(price) for price, _ in s.asks] for s in shown],
        "ask_sizes": [asks for _, asks in sizes],
        "connection": [s.connection for s in shown],
        "resyncs": [s.resyncs for s in shown],
    }
    return table("book", columns)


def liquidations(rows: Array, of: Sequence[Instrument]) -> pa.Table:
    """Return liquidations (`FORCED`) as rows of table `liquidations`."""
    columns = _places(rows["instrument"], of, rows["ts"]) | {
        "seq": pa.array(rows["seq"]),
        "recv_ts": _recv(rows["recv_ns"]),
        **{name: pa.array(rows[name]) for name in ("side", "price", "size", "sampled")},
        "contracts": _or_null(rows["contracts"], np.isnan(rows["contracts"])),
        "notional": pa.array(rows["price"] * rows["size"]),
    }
    return table("liquidations", columns)


def funding(rows: Array, of: Sequence[Instrument]) -> pa.Table:
    """Return messages about funding (`CARRY`) as rows of table `funding`."""
    columns = _places(rows["instrument"], of, rows["ts"]) | {
        "seq": pa.array(rows["seq"]),
        "next_ts": pa.array(rows["next_ts"], pa.int64(), mask=rows["next_ts"] == 0).view(TIME),
        **{n: _or_null(rows[n], np.isnan(rows[n])) for n in ("rate", "mark_price", "index_price", "open_interest")},
    }
    return table("funding", columns)
