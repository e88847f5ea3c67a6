"""Holds the parts together: stations record into the intake, the journal remembers for the next start."""

from __future__ import annotations

import asyncio
import gc
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from dataflows.recording import news, status
from dataflows.recording.background import Unknown
from dataflows.recording.clock import date_of, scaled
from dataflows.recording.connection import Connection
from dataflows.recording.following import Refused, follow
from dataflows.recording.intake import FRAME, Intake, Item, Shed, free_share
from dataflows.recording.rest import Rest, RestError
from dataflows.recording.sockets import Reader
from dataflows.recording.station import Preparation, Station
from dataflows.recording.switchboard import Switchboard
from pipelines.feeds import Feed
from pipelines.records import Gap, Kind, Start
from pipelines.rules.book import Rules, canonical, load
from pipelines.settings import Settings, SettingsError, config_file
from pipelines.store.journal_memory import Memory, recall
from pipelines.store.journal_writer import Writer
from pipelines.store.retention import consumed, expire, kept_from, sealed
from pipelines.tape import empty
from pipelines.venues import VENUES, venue

AGAIN_S: Final = 30.0
"""After how long a venue that could not be prepared is tried again."""
log = structlog.get_logger(__name__)


class Recorder:
    """Everything that is being recorded, and where it goes."""

    def __init__(self, settings: Settings, free: Callable[[Path], float] = free_share) -> None:
        """Take the journal.

        Raises
        ------
        JournalLocked
            If another recorder writes to it.
        """
        self.settings = settings
        self.now_ns: Callable[[], int] = time.time_ns
        self.stations: dict[str, Station] = {}
        self._board = Switchboard()
        self._memory = Memory({}, {}, [], {})
        self._pending: set[str] = set()
        self._changing = asyncio.Lock()  # a venue must not be taken out while it is brought up
        self.news = news.Poller(self)
        self.writer = Writer(
            settings.journal_dir,
            segment_bytes=settings.journal.segment_mb << 20,
            segment_ns=settings.journal.segment_minutes * 60 * 10**9,
            head=self._board.head.records,
        )
        self._refused = Refused()
        self.intake = Intake(self.writer, self._now_ns, self, free)

    def _now_ns(self) -> int:
        return self.now_ns()  # which `_set_clock` replaces

    # What stations need

    def clock(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def put(self, kind: Kind, payload: bytes, connection: int = 0) -> None:
        """Journal a record."""
        self.intake.put(kind, payload, connection)

    def taker(self, number: int) -> Callable[[bytes], None]:
        """Return what journals the frames of a connection."""
        append, now_ns, kind = self.intake.incoming.append, self.now_ns, FRAME

        def take(frame: bytes) -> None:
            append((now_ns(), number, kind, frame))

        return take

    def join(self, connection: Connection, reader: Reader) -> int:
        """Return a number for a connection that opened, whose frames in the journal are then handed to `reader`."""
        return self._board.join(connection, reader)

    def leave(self, connection: Connection) -> None:
        """Take note that a connection was lost."""
        self._board.leave(connection)

    def behind(self) -> bool:
        """Tell whether frames wait to be written, or are shed."""
        return self.intake.behind

    def unseen(self) -> Collection[Feed]:
        """Return the feeds whose frames are shed."""
        return self.intake.reasons.keys()

    async def accepting(self) -> None:
        """Wait until the journal takes frames of trades."""
        while self.intake.shedding == Shed.FRAMES:
            await asyncio.sleep(0.1)

    # What the intake tells

    def written(self, group: Sequence[Item]) -> None:
        """Hand what is in the journal to its stations."""
        self._board.written(group)

    def feed_of(self, connection: int, frame: bytes) -> Feed:
        """Tell which feed a frame is shed with."""
        return self._board.feed_of(connection, frame)

    def dropped(self, connection: int) -> None:
        """Take note that a frame of a connection was shed."""
        self._board.dropped(connection)

    def shedding(self, feed: Feed, reason: str) -> None:
        """Journal that frames of a feed are missing from here on."""
        self._tell_shed(feed, reason)
        self._distrust_books(feed, over=False)

    def shed(self, feed: Feed, reason: str, frames: int) -> None:
        """Journal that frames of a feed are written again; trades that are missing are fetched."""
        self._tell_shed(feed, f"{reason}: {frames} frames")
        self._distrust_books(feed, over=True)
        if feed == "trades":
            for station in self.stations.values():
                for mender in station.menders.values():
                    mender.interrupted("shed")

    def _distrust_books(self, feed: Feed, *, over: bool) -> None:
        if feed == "book":
            for line in (line for station in self.stations.values() for line in station.lines):
                line.books.shed(self.clock(), over=over)

    def _tell_shed(self, feed: Feed, reason: str) -> None:
        for name, station in self.stations.items():
            if feed in station.feeds:
                for native in station.instruments:
                    self.put(Kind.SHED, msgspec.json.encode(Gap(name, native, feed, reason, "shed")))

    # From start to end

    async def run(self, stop: asyncio.Event, reload: Callable[[], Settings]) -> None:
        """Record until `stop` is set.

        Parameters
        ----------
        stop : Event
        reload : callable
            Reads the settings again when their file has changed.

        Raises
        ------
        SettingsError
            If nothing can be recorded with these settings, but not because no venue can be reached, which is waited for;
            nothing was written.
        """
        try:
            if not await _unless(stop, self._begin(reload)):
                return
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(self.intake.run())
                chores = [group.create_task(chore) for chore in (*self._followed(reload), *self._chores())]
                await stop.wait()
                for chore in chores:
                    chore.cancel()
                await asyncio.gather(*(station.close() for station in self.stations.values()))
                writing.cancel()
        finally:
            await self.intake.close()

    async def _begin(self, reload: Callable[[], Settings]) -> None:
        await self._set_clock()
        chores = [asyncio.create_task(work) for work in (self._follow(reload, self._wait_for), _every(1, self._publish))]
        try:
            attempts = await self._reach()
        finally:
            for chore in chores:
                chore.cancel()
        faults = [fault for error in attempts.values() if isinstance(error, Unknown) for fault in error.faults]
        faults += news.faults(self.settings.news)
        faults += [] if attempts else ["venues: none is named; name one, like okx: {symbols: [BTC-USDT]}"]
        unreachable = {name: error for name, error in attempts.items() if isinstance(error, RestError)}
        if faults or len(unreachable) == len(attempts):
            raise SettingsError([*faults, *map(str, unreachable.values())])
        prepared = {name: got for name, got in attempts.items() if isinstance(got, Preparation)}
        tapes = {(name, i.native) for name, got in prepared.items() for i in got.wanted}
        tapes |= {(name, "") for name in unreachable}  # whose instruments are not known yet: read back as far as may be
        self._memory = await asyncio.to_thread(recall, self.settings.journal_dir, tapes, _frame_ids, _rest_id)
        live: dict[str, str] = {name: place.rules.tape for name, place in VENUES.items()}
        self.put(Kind.START, msgspec.json.encode(Start(uuid.uuid4().hex, live)))
        self.put(Kind.SETTINGS, self.settings.kernels.canonical())
        try:
            await self.change_rules(load(self.settings.rules))
        except SettingsError as error:  # the tape is worth more than a rule; those in force before stay so
            self._refused.tell("rules", error.faults)
        self.news.settle(self.settings.news)
        for name, got in attempts.items():
            if isinstance(got, RestError):
                self._pending.add(name)
            elif isinstance(got, BaseException):
                raise got
            else:
                await self.stations[name].adopt(got, self._memory)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)  # a frame is no garbage: looking through them at every 700 is a waste

    async def _reach(self) -> dict[str, Preparation | BaseException]:
        """Ask each venue for what is recorded there; as long as none answers and one may yet, wait and ask again."""
        while True:
            for name in self.settings.venues:
                if name not in self.stations:
                    self.stations[name] = self._station(name, self.settings)
            asked = dict(self.stations)
            attempts = await asyncio.gather(
                *(station.prepare(station.settings) for station in asked.values()), return_exceptions=True
            )
            errors = [error for error in attempts if isinstance(error, RestError)]
            for station, got in zip(asked.values(), attempts, strict=True):
                if isinstance(got, RestError):
                    station.tell_waits(got)
            if asked == self.stations and (len(errors) < len(asked) or all(error.final for error in errors)):
                return dict(zip(asked, attempts, strict=True))
            await asyncio.sleep(AGAIN_S)

    async def _wait_for(self, settings: Settings) -> None:
        """Let `settings` be those to begin with."""
        self.settings = self._with(settings)
        self.stations.clear()

    def _station(self, name: str, settings: Settings) -> Station:
        return Station(venue(name), settings.venues[name], settings.endpoints.get(name), self)

    async def _set_clock(self) -> None:
        """Let the clock of the demo run as its exchange's does."""
        demo = self.settings.demo
        if (demo.speed == 1 and demo.recording is None) or "demo" not in self.settings.venues:
            return
        rest = Rest(venue("demo"), self.settings.endpoints.get("demo"))
        try:
            body = await rest.get(rest.venue.time_request())
            self.now_ns = scaled(demo.speed, msgspec.json.decode(body, type=_Time).server_time * 1_000_000)
        except (RestError, msgspec.DecodeError) as error:
            raise SettingsError([str(error)]) from error
        finally:
            await rest.close()

    def _followed(self, reload: Callable[[], Settings]) -> list[Coroutine[Any, Any, None]]:
        """Return what looks at files that may be edited while recording."""
        rules = self.settings.rules
        return [
            self._follow(reload, self.change),
            follow(rules, "rules", self._refused, lambda: load(rules), self.change_rules),
        ]

    def _follow(self, reload: Callable[[], Settings], change: Callable[[Settings], Awaitable[None]]) -> Coroutine[Any, Any, None]:
        return follow(Path(config_file()), "settings", self._refused, reload, change)

    def _chores(self) -> list[Coroutine[Any, Any, None]]:
        """Return what is done again and again while recording."""
        minute = 60 / self.settings.demo.speed
        return [
            self.news.run(),
            _every(1, self._publish),
            _every(1, self._look),
            _every(minute / 3, self._refer),
            _every(min(AGAIN_S, minute), self._settle),
            _every(60 * minute, self._expire),
        ]

    async def _publish(self) -> None:
        state = status.snapshot(self.intake, self.stations, self.now_ns(), self.clock())
        state |= {"news": self.news.report(), "refused": self._refused.faults}
        try:
            status.publish(self.settings.data / "status" / "recorder.json", state)
        except OSError as error:  # the volume may be full; recording decides what to do about that
            log.warning("no_status", error=str(error))

    async def _look(self) -> None:
        for station in self.stations.values():
            station.sockets.look()

    async def _refer(self) -> None:
        for station in list(self.stations.values()):
            await station.refer()

    async def _expire(self) -> None:
        folder, read = self.settings.journal_dir, consumed(self.settings.journal_dir)
        first = kept_from(self.settings.journal, date_of(self.now_ns()), sealed(folder))
        try:
            gone = await asyncio.to_thread(expire, folder, first, read.segment if read else None)
        except OSError as error:
            log.error("not_expired", error=str(error))
        else:
            log.info("expired", segments=gone)

    # Settings and rules edited while running

    async def change_rules(self, rules: Rules) -> None:
        """Let these rules be in force from now on."""
        self.put(Kind.RULES, canonical(rules))

    async def change(self, settings: Settings) -> None:
        """Record from now on what `settings` say; where the journal is and how it is cut stays as it was."""
        async with self._changing:
            self.news.settle(settings.news)
            if settings.kernels != self.settings.kernels:
                self.put(Kind.SETTINGS, settings.kernels.canonical())
            before, self.settings = self.settings, self._with(settings)
            for name in before.venues.keys() - settings.venues.keys():
                await self.stations.pop(name).close()
            for name, wanted in settings.venues.items():
                if name not in self.stations:
                    self.stations[name] = self._station(name, settings)
                    self._pending.add(name)
                elif wanted != before.venues[name]:
                    self._pending.add(name)
            await self._settle_pending()

    async def _settle(self) -> None:
        async with self._changing:
            await self._settle_pending()

    def _with(self, edited: Settings) -> Settings:
        changed = {name: getattr(edited, name) for name in ("venues", "endpoints", "kernels", "news")}
        return self.settings.model_copy(update=changed)

    async def _settle_pending(self) -> None:
        """Bring up the venues whose settings are not in force yet; those that do not answer stay for the next time."""
        for name in sorted(self._pending & self.stations.keys()):
            station = self.stations[name]
            try:
                await station.adopt(await station.prepare(self.settings.venues[name]), self._memory)
            except Unknown as error:
                self._refused.tell("settings", error.faults)
            except RestError as error:
                station.tell_waits(error)
                continue
            self._pending.discard(name)


class _Time(msgspec.Struct, rename="camel"):
    server_time: int


def _frame_ids(name: str, frame: bytes) -> list[tuple[str, int, int]]:
    if name not in VENUES:
        return []
    return [
        (s.symbol, s.first, s.last) for s in venue(name).look([frame]).sights if s.feed == "trades" and 0 <= s.first <= s.last
    ]


def _rest_id(name: str, body: bytes) -> int | None:
    rows = venue(name).decode_rest(body, "").rows if name in VENUES else empty(0)
    return int(rows["trade_id"].max()) if rows.size else None


async def _every(seconds: float, step: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await step()


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do `work` to its end, or give it up when `stop` is set; tell whether it was done."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
        await asyncio.wait((working,))
        return False
    working.result()
    return True
