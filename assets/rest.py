"""Trades that are missing, asked of a venue's REST host by their ids: for days that no archive has."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx

from pipelines.contracts import in_base
from pipelines.history.day import Day
from pipelines.market import DAY_US, Instrument
from pipelines.settings import Settings
from pipelines.tape import TRADE, Rows, empty, joined
from pipelines.tape_order import GapRow
from pipelines.venues import venue as venue_named
from pipelines.venues.columns import Tape
from pipelines.venues.venue import Request, Venue

TIMEOUT_S: Final = 10.0
ATTEMPTS: Final = 4
SHARE: Final = 0.25
"""Of what the host allows; the recorder asks from the same address."""
CAP: Final = 200_000
"""A hole of more ids than this is left to archives."""
LOCAL: Final = ("127.0.0.1", "localhost", "::1")


class RestError(Exception):
    """The venue did not answer; the message says what to do."""


@dataclass(frozen=True)
class Fetched:
    """Trades of a day that were missing; see `DayTape`."""

    day: Day
    tape: Tape
    instruments: tuple[Instrument, ...]
    source: str
    digest: str
    rows: Rows

    def pieces(self) -> Iterator[Rows]:
        """See `DayTape.pieces`."""
        yield self.rows


def fetch_holes(
    settings: Settings,
    day: Day,
    instruments: Sequence[Instrument],
    holes: Callable[[str], Sequence[GapRow]],
    watch: Callable[[str], None],
) -> Fetched:
    """Ask for the ids of the holes of each instrument, as far as the venue reaches back; what it does not give is left out.

    Raises
    ------
    RestError
        If the host cannot be reached, or wants to be left alone.
    """
    place = venue_named(day.venue)
    base = (settings.endpoints.get(day.venue) or place.rules.rest).rstrip("/")
    parts = [empty(0)]
    with httpx.Client(base_url=base, timeout=TIMEOUT_S, trust_env=urlsplit(base).hostname not in LOCAL) as client:
        for k, instrument in enumerate(instruments):
            for hole in holes(instrument.symbol):
                watch(f"{instrument.symbol}: asking for {hole.first} to {hole.last}")
                for rows in _hole(client, place, instrument.native, hole):
                    rows["instrument"] = k
                    parts.append(rows)
    rows = joined(parts)
    in_base(rows, instruments)
    rows = rows[(rows["kind"] == TRADE) & (rows["ts"] >= day.us) & (rows["ts"] < day.us + DAY_US)]
    rows["recv_ns"] = time.time_ns()
    told = [f"{i.symbol} {rows['trade_id'][rows['instrument'] == k].tolist()}" for k, i in enumerate(instruments)]
    digest = hashlib.sha256("\n".join([str(day), *told]).encode()).hexdigest()
    return Fetched(day, place.rules.tape, tuple(instruments), f"REST of {day.venue}", digest, rows)


def _hole(client: httpx.Client, place: Venue, native: str, hole: GapRow) -> Iterator[Rows]:
    """Yield the trades of a hole, from whichever end the venue gives them, until it gives no more."""
    if hole.first is None or hole.last is None or hole.last - hole.first >= CAP:
        return
    left = [(hole.first, hole.last)]
    while left:
        first, last = left.pop()
        rows = place.decode_rest(_get(client, place, place.repair_request(native, first, last)), native).rows
        rows = rows[(rows["trade_id"] >= first) & (rows["trade_id"] <= last)]
        if rows.size:
            yield rows
            low, high = int(rows["trade_id"].min()), int(rows["trade_id"].max())
            left += [(a, b) for a, b in ((first, low - 1), (high + 1, last)) if a <= b]


def _get(client: httpx.Client, place: Venue, request: Request) -> bytes:
    most, seconds = place.rules.weight_window
    pause = request.weight * seconds / (most * SHARE)
    why = ""
    for attempt in range(ATTEMPTS):
        time.sleep(pause * 2**attempt)
        try:
            answer = client.get(request.path, params=request.params)
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            continue
        if answer.status_code in place.rules.too_many:
            raise RestError(f"{place.name}: {client.base_url.host} says too many requests; leave it alone for a while")
        failure = place.parse_error(answer.content)
        if answer.is_success and failure is None:
            return answer.content
        why = failure.text if failure else f"it answers {answer.status_code}"
        if answer.status_code < 500 and (failure is None or failure.kind == "error"):
            break
    raise RestError(
        f"{place.name}: {client.base_url.host} gives no trades ({why}); check the network, or set endpoints.{place.name}"
    )
