"""What a day reads of earlier dates, as digests: where one has changed since, the day is stale."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
import polars as pl

from pipelines.history.day import Day
from pipelines.history.stored_files import LIVE, is_sealed, symbols_in, writer_of
from pipelines.seed import REACH
from pipelines.store.lake import Lake
from pipelines.store.parquet import Staged

Seals = dict[dt.date, dict[str, dict[str, Any]]]
"""Newest row of table `seals`, by date and symbol."""
Writers = dict[dt.date, set[str]]
"""Who wrote the bars of a date, seals apart."""


def newest_seals(lake: Lake, venue: str) -> Seals:
    """Return the newest seal of each symbol and date of a venue."""
    found: Seals = defaultdict(dict)
    for row in lake.table("seals").filter(pl.col("venue") == venue).collect().iter_rows(named=True):
        found[row["ts"].date()][row["symbol"]] = row
    return found


def writers(lake: Lake, venue: str) -> Writers:
    """Return who wrote the bars of each date of a venue that no seal wrote."""
    return writers_of(f for f in lake.live("bars").values() if f.venue == venue)


def writers_of(bars: Iterable[Staged]) -> Writers:
    """Return who wrote files of a venue's bars, by date; seals apart."""
    found: Writers = defaultdict(set)
    for file in bars:
        if not is_sealed(file.path):
            found[dt.date.fromisoformat(file.date)].add(writer_of(file.path))
    return found


def read_by(day: Day, symbols: Iterable[str], seals: Seals, unsealed: Writers) -> dict[str, str]:
    """Return, by symbol, the digest of what earlier dates within reach hold, as far as a seal or its writers tell."""
    dates = [day.date - dt.timedelta(days=back) for back in range(1, REACH + 1)]
    digests = {}
    for symbol in symbols:
        parts = []
        for date in dates:
            row = seals.get(date, {}).get(symbol)
            if row is not None and row["rows_digest"]:
                parts.append(f"{date} {row['rows_digest']}")
            elif row is not None or date in unsealed:
                parts.append(f"{date} {' '.join(sorted(unsealed.get(date, set())))}")
        digests[symbol] = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return digests


def has_begun(lake: Lake, day: Day, symbol: str, row: dict[str, Any] | None) -> bool:
    """Whether what the lake holds of a date reaches back to its beginning.

    So it is if a seal says so (`row`, the newest), or if the flow recorded the venue before the date, and the symbol had traded.
    """
    if row is not None and row["whole"] is not False:
        return True
    recorded = {f.date for f in lake.live("coverage").values() if f.venue == day.venue}
    if not (day.date.isoformat() in recorded and min(recorded) < day.date.isoformat()):
        return False
    first = (day.date - dt.timedelta(days=REACH)).isoformat()
    files = [f for f in lake.live("trades").values() if f.venue == day.venue and first <= f.date < day.date.isoformat()]
    return any(symbol in symbols_in(lake, "trades", f) for f in sorted(files, key=lambda f: f.date, reverse=True))


def may_differ(day: Day, symbol: str, seals: Seals, unsealed: Writers) -> bool:
    """Whether what the stream knew of earlier dates may not be what the lake holds of them."""
    for back in range(1, REACH + 1):
        date = day.date - dt.timedelta(days=back)
        row = seals.get(date, {}).get(symbol)
        if row is None:
            if date in unsealed:
                return True
        elif row["source"] != LIVE or _differ(row["details"]):
            return True
    return False


def _differ(details: str | None) -> bool:
    tables = msgspec.json.decode(details or "{}").get("tables", {})
    return any(set(told) - {"equal"} for name, told in tables.items() if name != "trades")
