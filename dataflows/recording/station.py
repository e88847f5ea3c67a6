"""A venue being recorded: its instruments, its sockets, its tapes and their holes."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog

from dataflows.recording import background
from dataflows.recording.clock import date_of
from dataflows.recording.connection import Connection
from dataflows.recording.holes import Hole, Tape
from dataflows.recording.repair import Mender
from dataflows.recording.rest import Rest, RestError
from dataflows.recording.tasks import spawn
from pipelines.market import Instrument
from pipelines.records import Connect, Disconnect, Gap, Kind, Reference
from pipelines.settings import Venue as VenueSettings
from pipelines.store.journal_memory import Memory
from pipelines.venues.venue import Answer, Sight, Venue

ROTATE_S: Final = 23 * 3600
"""A venue closes a socket after 24 h; its replacement opens before."""
EVE: Final = dt.timedelta(hours=1)
"""How long before a date begins its reference volumes are journaled."""
log = structlog.get_logger(__name__)


class Preparation(NamedTuple):
    """What is to be recorded of a venue: its instruments, and candles of those that are new."""

    settings: VenueSettings
    wanted: list[Instrument]
    new: dict[str, background.Candles]


class Recorder(Protocol):
    """What a station records into."""

    now_ns: Callable[[], int]
    """The time of receipt."""

    def clock(self) -> float:
        """Return monotonic seconds."""

    def put(self, kind: Kind, payload: bytes, connection: int = 0) -> None:
        """Journal a record."""

    def taker(self, number: int) -> Callable[[bytes], None]:
        """Return what journals the frames of a connection."""

    def join(self, station: Station, connection: Connection) -> int:
        """Return a number for a connection that opened, whose frames in the journal are then handed to `saw`."""

    def leave(self, connection: Connection) -> None:
        """Take note that a connection was lost."""

    async def accepting(self) -> None:
        """Wait until the journal takes frames of trades."""


class Station:
    """Records one venue.

    Attributes
    ----------
    instruments : dict of str to Instrument
        What is recorded, by the venue's own name.
    tapes : dict of str to Tape
    references : dict of (str, str) to Reference
        By the venue's own name and the ISO date they are for.
    lines : list of Connection
    """

    def __init__(
        self, venue: Venue, settings: VenueSettings, base: str | None, recorder: Recorder, rest: Rest | None = None
    ) -> None:
        self.venue = venue
        self.settings = settings
        self.base = base
        self.rest = rest or Rest(venue, base)
        self.instruments: dict[str, Instrument] = {}
        self.tapes: dict[str, Tape] = {}
        self.menders: dict[str, Mender] = {}
        self.references: dict[tuple[str, str], Reference] = {}
        self.lines: list[Connection] = []
        self.frames = 0
        self.reconnects = 0
        self.last_frame_ns = 0
        self.seen_at: dict[str, float] = {}
        self._recorder = recorder
        self._live: dict[str, asyncio.Event] = {}
        self._renewal: asyncio.Task[None] | None = None
        self._closing = False

    # What is recorded

    async def prepare(self, settings: VenueSettings) -> Preparation:
        """Ask for the instruments that `settings` names and, of new ones, for what comes before their first trade.

        Raises
        ------
        Unknown
            If the venue has no such instruments, or its endpoint is no URL.
        RestError
            If the venue did not answer.
        """
        try:
            self.venue.routes((), (), self.base)
        except ValueError as error:
            raise background.Unknown([f"endpoints.{error}"]) from error
        wanted = await background.instruments(self.rest, settings.symbols)
        new = [i.native for i in wanted if i.native not in self.instruments]
        answers = await asyncio.gather(*(background.candles(self.rest, native) for native in new))
        return Preparation(settings, wanted, dict(zip(new, answers, strict=True)))

    async def adopt(self, prepared: Preparation, memory: Memory) -> None:
        """Journal what was prepared, and record it from now on; holes that `memory` knows of are opened, and forgotten there."""
        self.settings = prepared.settings
        self.instruments = {i.native: i for i in prepared.wanted}
        self._recorder.put(Kind.INSTRUMENTS, background.instruments_record(self.venue.name, prepared.wanted))
        self._recall_references(memory, prepared.new)
        for native, answer in prepared.new.items():
            self._refer(native, answer.daily)
        for native, answer in prepared.new.items():
            for payload in background.klines_records(self.venue.name, native, answer):
                self._recorder.put(Kind.KLINES, payload)
        for native in prepared.new:
            self._begin_tape(native, memory)
        await self._forget(self.tapes.keys() - self.instruments.keys())
        self.renew("instruments")

    def _begin_tape(self, native: str, memory: Memory) -> None:
        """Follow an instrument's ids; open again what was open, and everything since the last id that the journal holds."""
        now = self._recorder.clock()
        tape = self.tapes[native] = Tape()
        for gap in memory.open:
            if (gap.venue, gap.symbol) == (self.venue.name, native) and gap.from_id is not None and gap.to_id is not None:
                tape.holes.append(Hole(gap.from_id, gap.to_id, gap.reason, now, [(gap.from_id, gap.to_id)], told=False))
        memory.open[:] = [gap for gap in memory.open if (gap.venue, gap.symbol) != (self.venue.name, native)]
        last = memory.last.pop((self.venue.name, native), None)
        if last is not None:
            tape.next_id = last + 1
            tape.lost("restart", now)
        self._live[native] = asyncio.Event()
        self.menders[native] = Mender(
            native, tape, self.rest, self._recorder.put, self._live[native], self._recorder.accepting, self._recorder.clock
        )
        self.menders[native].begin()

    async def _forget(self, natives: Iterable[str]) -> None:
        for native in list(natives):
            mender = self.menders.pop(native)
            await mender.stop()
            mender.give_up("no longer recorded")
            del self.tapes[native], self._live[native]

    def _recall_references(self, memory: Memory, new: Container[str]) -> None:
        """Journal again what was told of this date and the next: thresholds do not change within a date."""
        today = date_of(self._recorder.now_ns()).isoformat()
        for (venue, native, date), told in memory.references.items():
            if venue == self.venue.name and native in new and date >= today:
                self._tell(told)

    # Reference volumes

    def _refer(self, native: str, daily: bytes) -> None:
        """Journal the reference volumes that are due and can be made from daily candles."""
        today = date_of(self._recorder.now_ns())
        for date in self._dates():
            if (native, date.isoformat()) not in self.references:
                told = background.reference(self.venue, native, date, today, daily)
                if told is not None:
                    self._tell(told)

    def _tell(self, told: Reference) -> None:
        self.references[told.symbol, told.date] = told
        self._recorder.put(Kind.REFERENCE, msgspec.json.encode(told))

    def _dates(self) -> list[dt.date]:
        """Return the dates whose reference volumes are due: this one, and in its last hour the next."""
        now = self._recorder.now_ns()
        return sorted({date_of(now), date_of(now + int(EVE.total_seconds()) * 10**9)})

    async def refer(self) -> None:
        """Journal the reference volumes that are due and not told yet."""
        dates = [date.isoformat() for date in self._dates()]
        for native in list(self.instruments):
            if any((native, date) not in self.references for date in dates):
                try:
                    self._refer(native, await background.klines(self.rest, native, "1d"))
                except (RestError, ValueError) as error:
                    log.warning("no_reference", venue=self.venue.name, symbol=native, error=str(error))
        for key in [key for key in self.references if key[1] < dates[0]]:
            del self.references[key]

    # Sockets

    def renew(self, reason: str) -> None:
        """Open sockets for what is recorded now; close the present ones once the new ones are open."""
        log.info("renew_sockets", venue=self.venue.name, reason=reason)
        before = self._renewal
        self._renewal = spawn(self._renew(before), f"renew {self.venue.name}")

    async def _renew(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        instruments = list(self.instruments.values())
        routes = (
            self.venue.routes(instruments, self.settings.feeds_of(self.venue.rules.verified), self.base) if instruments else []
        )
        old = self.lines
        twice = [route for route in routes for _ in range(self.settings.redundancy)]
        new = [Connection(self.venue.name, route, self) for route in twice]
        self.lines = old + new
        for line in new:
            line.start()
        for line in new:
            await line.opened.wait()
        await asyncio.gather(*(line.retire() for line in old))
        self.reconnects += sum(line.reconnects for line in old)
        self.lines = new

    def rotate(self) -> None:
        """Renew the sockets before the venue closes them."""
        now = self._recorder.clock()
        if any(line.opened.is_set() and now - line.opened_at > ROTATE_S for line in self.lines) and not self._renewing:
            self.renew("age")

    @property
    def _renewing(self) -> bool:
        return self._renewal is not None and not self._renewal.done()

    def opened(self, connection: Connection) -> Callable[[bytes], None]:
        """Take note of a connection that opened."""
        connection.number = self._recorder.join(self, connection)
        self._recorder.put(Kind.CONNECT, self._connect(connection), connection.number)
        if connection.trades:
            for native in connection.symbols:
                if native in self._live:
                    self._live[native].set()
        log.info("connected", venue=self.venue.name, route=connection.route.name, connection=connection.number)
        return self._recorder.taker(connection.number)

    def lost(self, connection: Connection, reason: str) -> None:
        """Take note of a connection that was lost; where it was the last that carried an instrument, a hole opens."""
        self._recorder.leave(connection)
        self._recorder.put(Kind.DISCONNECT, msgspec.json.encode(Disconnect(self.venue.name, reason)), connection.number)
        if self._closing:  # whoever starts again finds in the journal where to go on
            return
        others = [c for c in self.lines if c is not connection and c.opened.is_set()]
        for native in connection.symbols:
            if native not in self.tapes:
                continue
            if connection.trades and not any(c.trades and native in c.symbols for c in others):
                self._live[native].clear()
                self.interrupted(native, "reconnect")
            if not connection.trades and not any("quotes" in c.route.feeds and native in c.symbols for c in others):
                gap = Gap(self.venue.name, native, "quotes", "reconnect", "unfillable")
                self._recorder.put(Kind.GAP_CLOSE, msgspec.json.encode(gap))

    def interrupted(self, native: str, reason: str) -> None:
        """Note that trades of an instrument may be missing from here on."""
        if self.tapes[native].lost(reason, self._recorder.clock()) is not None:
            self.menders[native].begin()

    def _connect(self, connection: Connection) -> bytes:
        route = connection.route
        return msgspec.json.encode(Connect(self.venue.name, route.name, [*route.feeds], list(connection.symbols)))

    def saw(self, frames: Sequence[bytes], recv_ns: int) -> None:
        """Hold frames that are in the journal against the gap rule."""
        self.frames += len(frames)
        self.last_frame_ns = recv_ns
        seen = self.venue.look(frames)
        kind = self.venue.rules.tape
        self._check([sight for sight in seen.sights if sight.feed == "trades" and sight.tape == kind])
        for answer in seen.answers:
            self._heard(answer)

    def _check(self, sights: list[Sight]) -> None:
        """Hold ids against the gap rule, in the order they came."""
        tapes, now = self.tapes, self._recorder.clock()
        for sight in sights:
            tape = tapes.get(sight.symbol)
            if tape is not None and tape.see(sight.first, sight.last, now) is not None:
                self.menders[sight.symbol].begin()
        self.seen_at.update(dict.fromkeys({sight.symbol for sight in sights}, now))

    def _heard(self, answer: Answer) -> None:
        """Take what the venue says of the connection."""
        if answer.kind == "error":
            log.error("refused_by_venue", venue=self.venue.name, error=answer.text)
        elif answer.kind == "shutdown" and not self._renewing:
            self.renew("the venue is about to close")

    async def close(self) -> None:
        """Close everything."""
        self._closing = True
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait((self._renewal,))
        await asyncio.gather(*(mender.stop() for mender in self.menders.values()))
        await asyncio.gather(*(line.retire() for line in self.lines))
        await self.rest.close()
