"""Looks at each venue as the recorder would: is it reached, does the clock agree, does every route deliver, are sides right."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from dataflows.recording import background
from dataflows.recording.rest import Rest, RestError
from pipelines.aggressor import Agreement, agreement
from pipelines.feeds import QUIET, Feed
from pipelines.market import Instrument
from pipelines.rules.book import load
from pipelines.settings import Settings, SettingsError
from pipelines.venues import venue as venue_named
from pipelines.venues.venue import Route, Stream, Venue

CLOCK_S: Final = 1.0
"""An offset of the clock beyond which times of receipt mislead."""
CLOCK_WRONG_S: Final = 5.0
"""An offset beyond which trades are soon taken for ones from the future (10 s)."""
TRADES: Final = 20
"""Trades at the quotes below which nothing is said of their sides."""
AGREED: Final = 0.9
_QUOTES: Final[frozenset[Feed]] = frozenset({"quotes"})
DISK_SHARE: Final = 0.05
"""Free share of the disk below which the recorder sheds."""
MAX_FRAME: Final = 1 << 25


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes
    ----------
    about : str
        A venue, `disk` or `rules`.
    check : str
    state : {'ok', 'warning', 'fault', 'unknown'}
        `unknown`: there was not enough to go by.
    found : str
    remedy : str
        What to do; empty where nothing is to be done.
    """

    about: str
    check: str
    state: Literal["ok", "warning", "fault", "unknown"]
    found: str
    remedy: str = ""


def examine(settings: Settings, seconds: float) -> list[Finding]:
    """Look at the disk, the rules and every venue of the settings, listening to each route for so many seconds."""
    return [disk(settings), own_rules(settings), *asyncio.run(_venues(settings, seconds))]


def disk(settings: Settings) -> Finding:
    """Look at the volume of the journal."""
    place = next(p for p in (settings.journal_dir.absolute(), *settings.journal_dir.absolute().parents) if p.exists())
    volume = shutil.disk_usage(place)
    share = volume.free / volume.total
    found = f"{volume.free / 1e9:,.1f} GB free ({share:.0%}) under {settings.data}"
    if share < DISK_SHARE:
        return Finding("disk", "room", "fault", found, f"below {DISK_SHARE:.0%} frames are shed: free some, or set `data`")
    return Finding("disk", "room", "ok", found)


def own_rules(settings: Settings) -> Finding:
    """Read the file of the user's rules."""
    try:
        read = load(settings.rules)
    except SettingsError as error:
        return Finding("rules", "file", "fault", "; ".join(error.faults), "correct it; those in force before still are")
    return Finding("rules", "file", "ok", f"{len(read)} in {settings.rules}" if settings.rules.exists() else "no file of rules")


async def _venues(settings: Settings, seconds: float) -> list[Finding]:
    found = await asyncio.gather(*(_venue(settings, name, seconds) for name in settings.venues))
    return [finding for of_venue in found for finding in of_venue]


async def _venue(settings: Settings, name: str, seconds: float) -> list[Finding]:
    venue, wanted, base = venue_named(name), settings.venues[name], settings.endpoints.get(name)
    rest = Rest(venue, base)
    try:
        found = [await clock(rest)]
        try:
            instruments = await background.instruments(rest, wanted.symbols)
        except background.Unknown as error:
            return [*found, *(Finding(name, "rules", "fault", fault, "correct it under `venues`") for fault in error.faults)]
    except RestError as error:
        return [Finding(name, "reached", "fault", str(error), "without REST nothing is recorded of this venue")]
    finally:
        await rest.close()
    found.append(rules(name, instruments))
    feeds = wanted.feeds_of(venue.rules.verified)
    watched = {*feeds} | (venue.rules.feeds & _QUOTES)  # sides are held against quotes
    heard = await asyncio.gather(*(_listen(venue, route, seconds) for route in venue.routes(instruments, watched, base)))
    found += [delivers(venue, h.route, [frame for _, frame in h.frames], h.fault, feeds) for h in heard]
    return [*found, sides(venue, instruments, together(heard))]


async def clock(rest: Rest) -> Finding:
    """Hold this machine's clock against the venue's, half-way through the request."""
    name = rest.venue.name
    before = time.time()
    body = await rest.get(rest.venue.time_request())
    after = time.time()
    try:
        theirs = rest.venue.parse_time(body) / 1000
    except ValueError as error:
        return Finding(name, "clock", "unknown", str(error))
    offset, doubt = (before + after) / 2 - theirs, (after - before) / 2
    found = f"this clock is {offset:+.3f} s to the venue's (+/- {doubt:.3f} s)"
    if abs(offset) - doubt > CLOCK_WRONG_S:
        return Finding(name, "clock", "fault", found, "set the clock by NTP; the demo at another speed has one of its own")
    if abs(offset) - doubt > CLOCK_S:
        return Finding(name, "clock", "warning", found, "let NTP keep the clock")
    return Finding(name, "clock", "ok", found)


def rules(name: str, instruments: Sequence[Instrument]) -> Finding:
    """Look at what the venue says of the instruments."""
    bare = [i.symbol for i in instruments if not i.tick or not i.lot]
    contracts = {i.symbol: f", contract {i.contract}" if i.contract else "" for i in instruments}
    told = ", ".join(f"{i.symbol} ({i.status or 'no status'}{contracts[i.symbol]})" for i in instruments)
    if bare:
        return Finding(name, "rules", "warning", f"no step of price or size of {', '.join(bare)}", "bars work all the same")
    return Finding(name, "rules", "ok", told)


class _Heard(NamedTuple):
    """What a route sent, each frame with its time of receipt, and what went wrong."""

    route: Route
    frames: list[tuple[int, bytes]]
    fault: str


async def _listen(venue: Venue, route: Route, seconds: float) -> _Heard:
    """Return what a route sends within so many seconds."""
    frames: list[tuple[int, bytes]] = []
    fault = ""
    try:
        async with connect(route.url, max_size=MAX_FRAME, compression=None, open_timeout=10, close_timeout=1) as socket:
            for message in route.subscribe:
                await socket.send(message, text=True)
                await asyncio.sleep(1 / venue.rules.messages_per_second)
            pinging = asyncio.create_task(_ping(socket, venue)) if venue.rules.ping else None
            try:
                await _collect(socket, frames, seconds)
            finally:
                if pinging:
                    pinging.cancel()
    except InvalidStatus as error:
        fault = f"HTTP {error.response.status_code}"
    except (OSError, TimeoutError, WebSocketException) as error:
        fault = str(error) or type(error).__name__
    return _Heard(route, frames, fault)


async def _ping(socket: ClientConnection, venue: Venue) -> None:
    with contextlib.suppress(ConnectionClosed):  # whoever receives notices
        while True:
            await asyncio.sleep(venue.rules.ping_s)
            await socket.send(venue.rules.ping, text=True)


async def _collect(socket: ClientConnection, frames: list[tuple[int, bytes]], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                frame = await socket.recv(decode=False)
                frames.append((time.monotonic_ns(), frame))


def delivers(venue: Venue, route: Route, frames: Sequence[bytes], fault: str, feeds: Sequence[Feed]) -> Finding:
    """Tell which streams of a route have sent data; an acknowledgement is none."""
    check = f"route {route.name}"
    if fault:
        refused = "the venue does not serve this place or network" if fault in ("HTTP 403", "HTTP 451") else "see the network"
        return Finding(venue.name, check, "fault", f"{route.url}: {fault}", refused)
    seen = venue.look(frames)
    errors = [answer.text for answer in seen.answers if answer.kind == "error"]
    if errors:
        return Finding(venue.name, check, "fault", f"refused: {errors[0]}", "correct the symbols or feeds")
    came = {Stream(sight.feed, sight.symbol) for sight in seen.sights}
    due = [stream for stream in route.streams if stream.feed in feeds and stream.feed not in QUIET]
    silent = [stream for stream in due if stream not in came]
    found = f"{len(frames)} frames; data on {len(due) - len(silent)} of {len(due)} streams"
    if silent and len(silent) == len(due):
        return Finding(venue.name, check, "fault", found, "silent in spite of acks: a retired route, or no trading")
    if silent:
        names = ", ".join(f"{stream.feed} {stream.symbol}" for stream in silent[:5])
        return Finding(venue.name, check, "warning", f"{found}; silent: {names}", "listen longer (--seconds) to be sure")
    return Finding(venue.name, check, "ok", found)


def together(heard: Sequence[_Heard]) -> list[bytes]:
    """Return all frames in order of receipt, up to where a route of quotes falls silent: later trades met quotes unheard of."""
    end = min((h.frames[-1][0] for h in heard if h.frames and "quotes" in h.route.feeds), default=0)
    return [frame for at, frame in sorted((item for h in heard for item in h.frames), key=lambda item: item[0]) if at <= end]


def sides(venue: Venue, instruments: Sequence[Instrument], frames: Sequence[bytes]) -> Finding:
    """Hold the sides of trades against the quotes."""
    decoded = venue.decode(frames, venue.rules.tape)
    total = Agreement(0, 0, 0)
    for k, name in enumerate(decoded.symbols):
        if name in {i.native for i in instruments}:
            mine = agreement(decoded.rows[decoded.rows["instrument"] == k], decoded.quotes[decoded.quotes["instrument"] == k])
            total = Agreement(*np.add(total, mine).tolist())
    told = total.agreed + total.disagreed
    found = f"{total.agreed} of {told} trades at the quotes have their side ({total.between} were between)"
    if told < TRADES:
        return Finding(venue.name, "aggressor", "unknown", found, "listen longer (--seconds)")
    if (total.share or 0) < AGREED:
        return Finding(venue.name, "aggressor", "fault", found, "sides are mirrored: do not trust the signals of this venue")
    return Finding(venue.name, "aggressor", "ok", found)
