"""The reference volumes of a venue's instruments: told once for each date, in time, and the same after a restart."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Container, Iterable
from typing import Final

import msgspec
import structlog

from dataflows.recording import background
from dataflows.recording.clock import date_of
from dataflows.recording.rest import Rest, RestError
from pipelines.records import Kind, Reference

EVE: Final = dt.timedelta(hours=1)
"""How long before a date begins its reference volumes are journaled."""
log = structlog.get_logger(__name__)


class Volumes:
    """Which reference volumes were told, by the venue's own name of the instrument and the ISO date they are for."""

    def __init__(self, rest: Rest, put: Callable[[Kind, bytes], None], now_ns: Callable[[], int]) -> None:
        self.told: dict[tuple[str, str], Reference] = {}
        self._rest = rest
        self._put = put
        self._now_ns = now_ns

    def recall(self, known: Iterable[Reference], new: Container[str]) -> None:
        """Journal again what was told of this date and the next: thresholds do not change within a date."""
        today = date_of(self._now_ns()).isoformat()
        for reference in known:
            if reference.venue == self._rest.venue.name and reference.symbol in new and reference.date >= today:
                self._tell(reference)

    def refer(self, native: str, daily: bytes) -> None:
        """Journal the reference volumes that are due and can be made from daily candles."""
        today = date_of(self._now_ns())
        for date in self._dates():
            if (native, date.isoformat()) not in self.told:
                reference = background.reference(self._rest.venue, native, date, today, daily)
                if reference is not None:
                    self._tell(reference)

    async def catch_up(self, natives: Iterable[str]) -> None:
        """Journal the reference volumes that are due and not told yet."""
        dates = [date.isoformat() for date in self._dates()]
        for native in list(natives):
            if any((native, date) not in self.told for date in dates):
                try:
                    self.refer(native, await background.klines(self._rest, native, "1d"))
                except (RestError, ValueError) as error:
                    log.warning("no_reference", venue=self._rest.venue.name, symbol=native, error=str(error))
        for key in [key for key in self.told if key[1] < dates[0]]:
            del self.told[key]

    def _tell(self, reference: Reference) -> None:
        self.told[reference.symbol, reference.date] = reference
        self._put(Kind.REFERENCE, msgspec.json.encode(reference))

    def _dates(self) -> list[dt.date]:
        """Return the dates whose reference volumes are due: this one, and in its last hour the next."""
        now = self._now_ns()
        return sorted({date_of(now), date_of(now + int(EVE.total_seconds()) * 10**9)})
