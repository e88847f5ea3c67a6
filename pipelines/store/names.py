"""What people type: times, and names of instruments."""

from __future__ import annotations

import datetime as dt
import difflib
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pipelines.store import LakeError

if TYPE_CHECKING:
    from collections.abc import Collection

Time: TypeAlias = str | dt.date | dt.datetime | None
"""A time; one without a zone is UTC. A bare date (`2024-07-19`) is the start of that UTC day."""


class Known(NamedTuple):
    """An instrument of a lake; `native` is empty where the venue's own name is not known."""

    venue: str
    symbol: str
    native: str = ""


def bounds(start: Time, end: Time) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Return `start` (inclusive) and `end` (exclusive) in UTC; the same bare date as both is that whole day.

    Raises
    ------
    LakeError
        If one of them is no time or beyond the calendar, or they are the wrong way round.
    """
    try:
        since, since_day = _moment("start", start)
        until, until_day = _moment("end", end)
        if since and since == until and since_day and until_day:
            return since, until + dt.timedelta(days=1)
    except OverflowError:
        raise LakeError(f"start {start}, end {end}: no time before the year 1 or after 9999") from None
    if since and until and until < since:
        raise LakeError(f"end ({end}) lies before start ({start})")
    return since, until


def _moment(name: str, value: Time) -> tuple[dt.datetime | None, bool]:
    """Return the time, and whether it was a bare date."""
    if value is None:
        return None, False
    if isinstance(value, str):
        try:
            value = dt.date.fromisoformat(value.strip())
        except ValueError:
            try:
                value = dt.datetime.fromisoformat(str(value).strip())
            except ValueError:
                message = f"{name}: {value!r} is no time; use 2024-07-19 or 2024-07-19T06:30:00Z"
                raise LakeError(message) from None
    if not isinstance(value, dt.datetime):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC), True
    return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC), False


def check_venue(venue: str, known: Collection[Known]) -> None:
    """Raise LakeError, naming those there are, if no instrument of the lake is traded on `venue`."""
    venues = sorted({k.venue for k in known})
    if venues and venue not in venues:
        close = difflib.get_close_matches(venue, venues, n=1)
        hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(venues)}"
        raise LakeError(f"no venue {venue!r} in this lake; {hint}")


def resolve(symbol: str, venue: str | None, known: Collection[Known]) -> Known:
    """Return the one instrument that `symbol`, normalised (`BTC-USDT`) or the venue's own name (`BTCUSDT`), stands for.

    Raises
    ------
    LakeError
        If there is none (with the nearest names), or if several venues have it.
    """
    if venue is not None:
        check_venue(venue, known)
    typed = symbol.strip().upper()
    here = [k for k in known if venue in (None, k.venue)]
    found = {(k.venue, k.symbol): k for k in here if k.symbol.upper() == typed}
    if not found:
        found = {(k.venue, k.symbol): k for k in here if typed in (k.native.upper(), _run_together(k.symbol))}
    if not found:
        raise LakeError(_unknown(symbol, venue, here))
    if len(found) > 1:
        names = ", ".join(f"{k.symbol} on {k.venue}" for k in sorted(found.values()))
        raise LakeError(f"{symbol!r} may be {names}: give venue, like venue={min(found)[0]!r}")
    return next(iter(found.values()))


def _run_together(symbol: str) -> str:
    """Return how most venues write a symbol where their own name for it is not known."""
    return symbol.upper().removesuffix("-PERP").replace("-", "")


def _unknown(symbol: str, venue: str | None, here: Collection[Known]) -> str:
    names = {name: k for k in here for name in (k.symbol, k.native) if name}
    close = difflib.get_close_matches(symbol.strip().upper(), names, n=3, cutoff=0.5)
    nearest = dict.fromkeys(f"{names[c].symbol} ({names[c].venue})" for c in close)
    place = f" on {venue}" if venue else ""
    if nearest:
        return f"unknown symbol {symbol!r}{place}; did you mean {' or '.join(nearest)}?"
    return f"unknown symbol {symbol!r}{place}; this lake has {', '.join(sorted({k.symbol for k in here})[:10])}"
