"""What sheets read of the lake, read once for all of their queries: files of a lake in an object store are far away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final, NamedTuple

from pipelines.briefs.changes import REACH
from pipelines.briefs.levels import MINUTES
from pipelines.briefs.queries import DAY, MONTH, WEEK, day
from pipelines.briefs.reading import Reader, moment, text
from pipelines.settings import Settings


class Part(NamedTuple):
    """Columns of a table, for how long back, and of which rows."""

    columns: str
    span: dt.timedelta
    where: str = "true"


_ROW: Final = 'date, venue, symbol, ts, "end"'
_FEATURES: Final = ", ".join(minute.column for minute in MINUTES)
PARTS: Final = {
    "bars": Part(f"{_ROW}, bar, high, low, close, notional, quality", WEEK, "bar = '1m'"),
    "features": Part(f"{_ROW}, {_FEATURES}", WEEK),
    "posture": Part(f"{_ROW}, state, since, p_up", DAY),
    "liquidations": Part(f"{_ROW}, seq, side, notional, sampled", WEEK),
    "alerts": Part(f"{_ROW}, alert_id, detector, severity, origin", REACH),
    "gaps_history": Part("*", DAY),
    "seals_history": Part("*", MONTH),
    "scores_history": Part("*", 3 * MONTH),
    "falsifiers_history": Part("*", 3 * MONTH),
    "facts": Part("*", REACH),
}
"""Tables whose rows of an instrument are read; `trades` and `coverage` are asked too little to be worth it."""


def hold(reader: Reader, instruments: Sequence[tuple[str, str]], settings: Settings) -> None:
    """Have the rows that sheets of these instruments are made of read once."""
    venues = ", ".join(sorted({text(venue) for venue, _ in instruments}))
    symbols = ", ".join(sorted({text(symbol) for _, symbol in instruments}))
    if not instruments:
        return
    for table, part in PARTS.items():
        # A row's date is that of its beginning; of a claim, that of the brief that made it.
        dates = f"date BETWEEN {day(reader.at - part.span - 2 * DAY)} AND {day(reader.at)} AND venue IN ({venues})"
        # What else a venue trades is looked at for as long as the longest silence that is told.
        mine = f"(symbol IN ({symbols}) OR date >= {day(reader.at - 2 * DAY)})" if table == "bars" else f"symbol IN ({symbols})"
        reader.hold(table, f"SELECT {part.columns} FROM {table} WHERE {dates} AND {mine} AND {part.where}")
    reader.hold("vpin", " UNION ALL ".join(_vpin(reader, *who, settings) for who in instruments))


def _vpin(reader: Reader, venue: str, symbol: str, settings: Settings) -> str:
    """Return the last buckets of an instrument, of each setting as many as its percentile is taken over."""
    columns = f"{_ROW}, setting, bucket, partial, gap, vpin_flag, null_low, null_high"
    mine = f"venue = {text(venue)} AND symbol = {text(symbol)} AND NOT partial AND vpin_flag IS NOT NULL"
    dates = f'date BETWEEN {day(reader.at - MONTH - DAY)} AND {day(reader.at)} AND "end" <= {moment(reader.at)}'
    last = f"ORDER BY date DESC, bucket DESC LIMIT {settings.kernels.percentile_window + 1}"
    parts = [
        f"(SELECT {columns} FROM vpin WHERE {mine} AND {dates} AND setting = {text(name)} {last})"
        for name in settings.kernels.vpin_settings()
    ]
    return " UNION ALL ".join(parts) or f"SELECT {columns} FROM vpin WHERE false"
