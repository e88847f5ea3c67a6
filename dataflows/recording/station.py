"""A venue being recorded: its instruments, what their feeds show, and what is asked for over REST."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec
import structlog

from dataflows.recording import background, sockets
from dataflows.recording.connection import Connection
from dataflows.recording.holes import Hole, Tape
from dataflows.recording.overlap import OverlapMender
from dataflows.recording.repair import Desk, Mender
from dataflows.recording.rest import Rest, RestError
from dataflows.recording.tasks import spawn
from dataflows.recording.volumes import Volumes
from pipelines.feeds import Feed
from pipelines.market import Instrument
from pipelines.records import Book, Funding, Gap, Kind, headed, split_head
from pipelines.settings import Venue as VenueSettings
from pipelines.store.journal_memory import Memory
from pipelines.venues.venue import Answer, Route, Sight, Stream, Venue

BOOKS_S: Final = 0.25
"""How often books are looked at."""
FUNDING_S: Final = 60.0
"""How often open interest is asked for, where no socket tells it."""
LATEST: Final = 16
"""Frames kept to tell how old the newest trade was when it came."""
UNREPAIRED: Final[frozenset[Feed]] = frozenset({"quotes", "book", "liquidations"})
"""Feeds of which nothing that was missed can be fetched."""
log = structlog.get_logger(__name__)


class Preparation(NamedTuple):
    """What is to be recorded of a venue: its instruments, and candles of those that are new."""

    settings: VenueSettings
    wanted: list[Instrument]
    new: dict[str, background.Candles]


class Recorder(sockets.Journal, Protocol):
    """What a station records into."""

    now_ns: Callable[[], int]
    """The time of receipt."""

    async def accepting(self) -> None:
        """Wait until the journal takes frames of trades."""


class Station:
    """Records one venue.

    Attributes
    ----------
    instruments : dict of str to Instrument
        What is recorded, by the venue's own name.
    menders : dict of str to Mender or OverlapMender
        Whoever keeps the tape of an instrument whole.
    sockets : Sockets
    frames, bytes : int
        Received and journaled.
    refusals : int
        Errors told on sockets.
    gaps : Counter
        Holes in tapes: `opened`, `closed` and, of these, `unfillable`.
    seen_at : dict of Stream to float
        When data was last seen.
    broken_since : dict of str to float
        Since when an instrument has had no sound book.
    waits : str
        Why the venue did not tell of its instruments when it was last asked; empty: it did, or has not been asked.
    """

    def __init__(
        self, venue: Venue, settings: VenueSettings, base: str | None, recorder: Recorder, rest: Rest | None = None
    ) -> None:
        self.venue = venue
        self.settings = settings
        self.base = base
        self.rest = rest or Rest(venue, base)
        self.instruments: dict[str, Instrument] = {}
        self.menders: dict[str, Mender | OverlapMender] = {}
        self.sockets = sockets.Sockets(venue, recorder, self)
        self.volumes = Volumes(self.rest, recorder.put, recorder.now_ns)
        self.frames = 0
        self.bytes = 0
        self.refusals = 0
        self.gaps: Counter[str] = Counter()
        self.last_frame_ns = 0
        self.seen_at: dict[Stream, float] = {}
        self.broken_since: dict[str, float] = {}
        self.waits = ""
        self._latest: tuple[Sequence[bytes], int] = ((), 0)
        self._recorder = recorder
        self._live: dict[str, asyncio.Event] = {}
        self._rounds: list[asyncio.Task[None]] = []

    @property
    def feeds(self) -> tuple[Feed, ...]:
        """What is recorded of each instrument."""
        return self.settings.feeds_of(self.venue.rules.verified)

    @property
    def lines(self) -> list[Connection]:
        """Its sockets."""
        return self.sockets.lines

    # What is recorded

    async def prepare(self, settings: VenueSettings) -> Preparation:
        """Ask for the instruments that `settings` names and, of new ones, for what comes before their first trade.

        Raises
        ------
        Unknown
            If the venue has no such instruments or feeds, or its endpoint is no URL.
        RestError
            If the venue did not answer.
        """
        rules, name = self.venue.rules, self.venue.name
        if lacking := sorted(set(settings.feeds_of(rules.verified)) - rules.feeds):
            feeds = ", ".join(sorted(rules.feeds))
            raise background.Unknown([f"venues.{name}.feeds: {', '.join(lacking)}: not recorded at {name}; use {feeds}"])
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
        self.waits = ""
        self.instruments = {i.native: i for i in prepared.wanted}
        self._recorder.put(Kind.INSTRUMENTS, background.instruments_record(self.venue.name, prepared.wanted))
        self.volumes.recall(memory.references.values(), prepared.new)
        for native, answer in prepared.new.items():
            self.volumes.refer(native, answer.daily)
        for native, answer in prepared.new.items():
            for payload in background.klines_records(self.venue.name, native, answer):
                self._recorder.put(Kind.KLINES, payload)
        for native in prepared.new:
            self._begin_tape(native, memory)
        await self._forget(self.menders.keys() - self.instruments.keys())
        self.sockets.renew("instruments")
        if not self._rounds:
            rounds = ((BOOKS_S, self.keep_books), (FUNDING_S, self.ask_funding))
            self._rounds = [spawn(_again(seconds, step), f"{step.__name__} {self.venue.name}") for seconds, step in rounds]

    def tell_waits(self, error: RestError) -> None:
        """Take note, and log, why the venue could not be prepared."""
        self.waits = str(error).removeprefix(f"{self.venue.name}: ")
        log.error("venue_waits", venue=self.venue.name, error=self.waits)

    def _begin_tape(self, native: str, memory: Memory) -> None:
        """Follow an instrument's ids; open again what was open, and everything since the last id that the journal holds."""
        recorder, key = self._recorder, (self.venue.name, native)
        self._live[native] = asyncio.Event()
        desk = Desk(native, self.rest, recorder.put, self._live[native], recorder.accepting, recorder.clock, self.gaps)
        last, recent = memory.last.pop(key, None), memory.recent.pop(key, ())
        if not self.venue.rules.contiguous:
            self.menders[native] = OverlapMender(desk, recent)
            if recent:
                self.menders[native].interrupted("restart")
            return
        now, tape = recorder.clock(), Tape()
        for gap in memory.open:
            if (gap.venue, gap.symbol) == key and gap.from_id is not None and gap.to_id is not None:
                tape.holes.append(Hole(gap.from_id, gap.to_id, gap.reason, now, [(gap.from_id, gap.to_id)], told=False))
        memory.open[:] = [gap for gap in memory.open if (gap.venue, gap.symbol) != key]
        if last is not None:
            tape.next_id = last + 1
            tape.lost("restart", now)
        mender = self.menders[native] = Mender(desk, tape)
        mender.begin()

    async def _forget(self, natives: Iterable[str]) -> None:
        for native in list(natives):
            mender = self.menders.pop(native)
            await mender.stop()
            mender.give_up("no longer recorded")
            del self._live[native]

    async def refer(self) -> None:
        """Journal the reference volumes that are due and not told yet."""
        await self.volumes.catch_up(self.instruments)

    # What sockets tell

    def routes(self) -> list[Route]:
        """Return the connections that there should be."""
        instruments = list(self.instruments.values())
        return self.venue.routes(instruments, self.feeds, self.base) if instruments else []

    def redundancy(self) -> int:
        """Return how many sockets each should have."""
        return self.settings.redundancy

    def resumed(self, stream: Stream) -> None:
        """Take note that data of a stream may come."""
        if stream.feed == "trades" and stream.symbol in self._live:
            self._live[stream.symbol].set()

    def interrupted(self, stream: Stream) -> None:
        """Take note that no socket carries a stream any more: a hole opens, or is told at once where nothing can fill it."""
        for native in [stream.symbol] if stream.symbol else list(self.instruments):
            if native not in self.instruments:
                continue
            if stream.feed == "trades":
                self._live[native].clear()
                self.menders[native].interrupted("reconnect")
            elif stream.feed in UNREPAIRED:
                gap = Gap(self.venue.name, native, stream.feed, "reconnect", "unfillable")
                self._recorder.put(Kind.GAP_CLOSE, msgspec.json.encode(gap))

    def saw(self, connection: Connection, frames: Sequence[bytes], recv_ns: int, *, current: bool) -> None:
        """Hold frames that are in the journal against the gap rule, and books against theirs."""
        self.frames += len(frames)
        self.bytes += sum(map(len, frames))
        self.last_frame_ns = recv_ns
        seen = self.venue.look(frames)
        now = self._recorder.clock()
        counts = self._check(seen.sights, now, late=not (current and connection.opened.is_set()))
        self.seen_at.update(dict.fromkeys(counts, now))
        feeds = {stream.feed for stream in counts}
        if "trades" in feeds:
            self._latest = frames[-LATEST:], recv_ns
        if not current:
            return
        connection.note(counts)
        connection.follow(seen.numbers)
        if "book" in feeds:
            connection.books.take(self.venue.decode(frames, self.venue.rules.tape).depths, now)
        for answer in seen.answers:
            self._heard(connection, answer)

    def _check(self, sights: Sequence[Sight], now: float, *, late: bool) -> Counter[Stream]:
        """Hold ids against the gap rule, in the order they came; return how much data came. `late`: their socket is lost."""
        menders, tape = self.menders, self.venue.rules.tape
        for sight in sights:
            if sight.feed == "trades" and (sight.tape == tape or sight.first > sight.last):
                mender = menders.get(sight.symbol)
                if mender is not None:
                    mender.see(sight, now, late=late)
        counts = Counter([sight[:2] for sight in sights if sight.first <= sight.last])
        return Counter({Stream(*stream): n for stream, n in counts.items()})

    def _heard(self, connection: Connection, answer: Answer) -> None:
        """Take what the venue says of the connection."""
        if answer.kind == "error":
            self.refusals += 1
            connection.refusal = answer.text
            log.error("refused_by_venue", venue=self.venue.name, route=connection.route.name, error=answer.text)
        elif answer.kind == "shutdown" and not self.sockets.renewing:
            self.sockets.renew("the venue is about to close")

    def saw_book(self, connection: Connection, payload: bytes) -> None:
        """Apply a snapshot that is in the journal, between the updates where it is in the journal."""
        head, body = split_head(payload)
        native = msgspec.json.decode(head, type=Book).symbol
        decoded = self.venue.decode_book(body, native)
        for fault in decoded.faults:
            log.warning("book_refused", venue=self.venue.name, symbol=native, reason=fault.reason)
        connection.books.take((depth._replace(symbol=native) for depth in decoded.depths), self._recorder.clock())

    @property
    def lag_s(self) -> float | None:
        """How long the newest trade took from the match to here, in seconds; None before there is one."""
        frames, recv_ns = self._latest
        rows = self.venue.decode(frames, self.venue.rules.tape).rows
        return recv_ns / 1e9 - int(rows["ts"].max()) / 1e6 if rows.size else None

    @property
    def bookless(self) -> set[str]:
        """The instruments whose book no open socket has; one that a route never brings may be whole on another."""
        wanted = {native for line in self.lines for native in (*line.books.broken, *line.books.whole)}
        return wanted - {native for line in self.lines if line.opened.is_set() for native in line.books.whole}

    @property
    def refused(self) -> list[str]:
        """What the venue refuses at present."""
        return [*self.sockets.refusals, *(text for text in (self.rest.refused, self.rest.waited_for) if text)]

    # What is asked for again and again

    async def keep_books(self) -> None:
        """Ask for the books that are broken, one after the other."""
        now = self._recorder.clock()
        self.broken_since = {native: self.broken_since.get(native, now) for native in self.bookless}
        for line in list(self.lines):
            if line.opened.is_set():
                for native in line.books.due(self._recorder.clock()):
                    await self._ask_for_book(line, native)

    async def _ask_for_book(self, line: Connection, native: str) -> None:
        """Ask for a book as the venue gives it: over REST, on the socket, or with a new socket alone."""
        number, request = line.number, self.venue.book_request(native)
        if request is not None:
            try:
                body = await self.rest.get(request, attempts=1)
            except RestError as error:
                log.warning("no_book", venue=self.venue.name, symbol=native, error=str(error))
                return
            if line.opened.is_set() and line.number == number:
                self._recorder.put(Kind.BOOK, headed(Book(self.venue.name, native), body), number)
        elif frames := self.venue.resubscribe(Stream("book", native)):
            await line.send(frames)
        elif not self.sockets.renewing:
            self.sockets.renew(f"book of {native}")

    async def ask_funding(self) -> None:
        """Journal open interest where no socket tells it."""
        if "funding" not in self.feeds:
            return
        for native in list(self.instruments):
            if (request := self.venue.funding_request(native)) is not None:
                try:
                    body = await self.rest.get(request, attempts=1)
                except RestError as error:
                    log.warning("no_funding", venue=self.venue.name, symbol=native, error=str(error))
                else:
                    self._recorder.put(Kind.FUNDING, headed(Funding(self.venue.name, native), body))

    async def close(self) -> None:
        """Close everything."""
        for task in self._rounds:
            task.cancel()
        await asyncio.gather(*(mender.stop() for mender in self.menders.values()))
        await self.sockets.close()
        await self.rest.close()


async def _again(seconds: float, step: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await step()
        except Exception:  # whatever it was, the feed goes on
            log.exception("step_failed", step=getattr(step, "__name__", ""))
        await asyncio.sleep(seconds)
