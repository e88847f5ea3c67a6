"""What a venue tells about its instruments besides their trades: rules, average volumes, candles."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from dataflows.recording.rest import Rest, RestError
from pipelines.market import Instrument
from pipelines.records import InstrumentRecord, Instruments, Klines, Reference, headed
from pipelines.venues.names import normalise
from pipelines.venues.venue import Request, Venue

DAYS: Final = 30


class Unknown(Exception):
    """Symbols that a venue does not have; `faults` has a line for each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Candles(NamedTuple):
    """Answers to requests for candles of one instrument, verbatim."""

    daily: bytes
    minutes: bytes


async def instruments(rest: Rest, wanted: Iterable[str]) -> list[Instrument]:
    """Ask for the instruments called `wanted`, each once.

    Raises
    ------
    Unknown
        With every symbol that there is none for.
    RestError
        If the venue did not answer, or not with instruments.
    """
    known: list[Instrument] = []
    for first in rest.venue.instruments_requests():
        request: Request | None = first
        while request is not None:
            body = await rest.get(request)
            try:
                known += rest.venue.parse_instruments(body)
            except ValueError as error:
                raise RestError(str(error), final=False) from error
            request = rest.venue.next_page(request, body)
    found: dict[str, Instrument] = {}
    faults: list[str] = []
    for text in wanted:
        try:
            instrument = normalise(text, known)
            found[instrument.native] = instrument
        except ValueError as error:
            faults.append(f"venues.{rest.venue.name}.symbols: {error}")
    if faults:
        raise Unknown(faults)
    return list(found.values())


async def candles(rest: Rest, native: str) -> Candles:
    """Ask for daily and one-minute candles of an instrument."""
    return Candles(await klines(rest, native, "1d"), await klines(rest, native, "1m"))


async def klines(rest: Rest, native: str, interval: Literal["1d", "1m"]) -> bytes:
    """Ask for candles of an instrument; empty where the venue has none."""
    request = rest.venue.klines_request(native, interval)
    return await rest.get(request) if request else b""


def reference(venue: Venue, native: str, date: dt.date, today: dt.date, daily: bytes) -> Reference | None:
    """Average the volumes that thresholds of `date` are made from.

    Parameters
    ----------
    venue : Venue
    native : str
    date : date
        Which UTC date they are for.
    today : date
        Only dates before both are complete.
    daily : bytes
        Answer with daily candles.

    Returns
    -------
    Reference or None
        Over the last 30 complete dates, or as many as there are; None where there is none.
    """
    if not daily:
        return None
    days = sorted(venue.parse_klines(daily).to_pylist(), key=lambda day: day["ts"])
    complete = [day for day in days if day["ts"].date() < min(date, today)][-DAYS:]
    if not complete:
        return None
    n, last = len(complete), complete[-1]["ts"].date().isoformat()
    volume = sum(day["volume"] for day in complete) / n
    notional = sum(_notional(day) for day in complete) / n
    return Reference(venue.name, native, date.isoformat(), volume, notional, n, last)


def _notional(day: dict[str, Any]) -> float:
    """Return what was traded in quote currency; where the venue does not say, the volume at the middle of the day's range."""
    notional: float | None = day["notional"]
    return notional if notional is not None else float(day["volume"] * (day["low"] + day["high"]) / 2)


def instruments_record(venue: str, recorded: Sequence[Instrument]) -> bytes:
    """Return the payload that says which instruments of a venue are recorded."""
    rows = [InstrumentRecord(*i[1:]) for i in recorded]
    return msgspec.json.encode(Instruments(venue, rows))


def klines_records(venue: str, native: str, answers: Candles) -> list[bytes]:
    """Return the payloads that hold a venue's candles."""
    told = (("1d", answers.daily), ("1m", answers.minutes))
    return [headed(Klines(venue, native, interval), body) for interval, body in told if body]
