"""`tapeflow status`: what the processes, the feeds, the lake and the disk are found to do, and what is wrong with it.

The processes tell of themselves in `<data>/status/`: `up.json` (the supervisor), `recorder.json` and `sender.json` every
second, `flow.json` every epoch. How old a file is, is told by the file system: clocks of venues are not needed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tapeflow import messages
from tapeflow.messages import Messages
from tapeflow.supervisor import Report, Standing
from tapeflow.verdict import duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipelines.settings import Settings

STALE_S = 30.0
"""A process whose status file is older than this hangs or is gone."""

SEAL_DUE = dt.timedelta(days=1, minutes=15)
"""After the start of a date; what is recorded of it is then complete."""
OFFSET_S = 1.0
"""Clocks further apart than this are worth a note; nothing is lost by it."""
RESERVE = 0.05
"""The share of the disk below which the recorder sheds."""
_GROWTH_DAYS = 1.0


class Process(msgspec.Struct):
    """A process of ours.

    `state` is starting, running, waiting (to be started again), refused, stopped, suspended (by a signal), hung or dead.
    """

    name: str
    state: str
    pid: int | None
    restarts: int
    age_s: float | None
    """How long it has been in this state."""


class Feed(msgspec.Struct):
    """A venue's feed. `age_s`: since its last frame; `lag_s`: how old the newest trade is that the flow has stored.

    `silent_streams` were asked for and never came, like `quotes BTC-USDT`; `refused` is what the venue refuses, in its words.
    `waits` is why the venue is not recorded yet, or not as the settings say; it is asked again and again.
    `books_broken` are the instruments whose book no open socket has whole, `books_broken_s` for how long the first of them.
    `clock_offset_s` is the least time from match to receipt of the last minutes: below 0 the venue's clock is ahead.
    """

    venue: str
    symbols: list[str]
    connected: bool
    age_s: float | None
    lag_s: float | None
    silent_streams: list[str] = []
    refused: list[str] = []
    reconnects: int = 0
    books_broken: list[str] = []
    books_broken_s: float | None = None
    clock_offset_s: float | None = None
    waits: str = ""


class Shed(msgspec.Struct):
    """What the recorder does not write at present: `level` is nothing, quotes (and books) or frames (all of them).

    `reasons` tells why, by feed; `frames` counts those shed since the recorder began.
    """

    level: str = "nothing"
    reasons: dict[str, str] = {}
    frames: dict[str, int] = {}


class Gap(msgspec.Struct):
    """A gap that is open: in the ledger, or so new that only the recorder knows of it."""

    venue: str
    symbol: str
    feed: str
    since: dt.datetime
    age_s: float
    from_id: int | None
    to_id: int | None
    reason: str | None


class Unsealed(msgspec.Struct):
    """A date that should have been sealed, and for how long that has been due."""

    venue: str
    date: dt.date
    late_s: float


class Disk(msgspec.Struct):
    """The volume of the journal. `days_left` until the recorder sheds, at the journal's growth; unknown at first."""

    free_bytes: int
    journal_bytes: int
    journal_bytes_per_day: float | None
    days_left: float | None


class News(msgspec.Struct):
    """A feed of headlines. `age_s`: since its last good answer."""

    feed: str
    items: int
    failing: int
    error: str | None
    age_s: float | None


class Status(msgspec.Struct):
    """Everything `tapeflow status` knows; what is not known is None. `--json` prints this, with `faults`."""

    at: dt.datetime
    data: str
    lake: str
    processes: list[Process]
    feeds: list[Feed]
    gaps: list[Gap]
    trades: int | None
    """Stored by the flow since its state began."""
    quarantined: int | None
    duplicates: int | None
    """Trades dropped since the flow's state began because their id had been seen."""
    shed: Shed
    backlog_s: float | None
    backlog_bytes: int | None
    last_seal: str | None
    unsealed: list[Unsealed]
    disk: Disk
    news: list[News]
    messages: Messages | None
    refused: dict[str, list[str]]
    """Why an edited file (`settings`, `rules`) is not used; what was in force before still is."""
    notes: list[str]


class _File(NamedTuple):
    """A status file: what is in it, and how long ago it was written, in seconds; endless if it is not there."""

    content: dict[str, Any]
    age: float


class _Lake(NamedTuple):
    gaps: list[Gap]
    quarantined: int | None
    last_seal: str | None
    unsealed: list[Unsealed]


def gather(settings: Settings, now: float, *, lake: bool = True) -> Status:
    """Gather the status at `now` (s since 1970); without `lake` only from the status files, which is quick and small."""
    folder = settings.data / "status"
    up, recorder, flow, sender = (_read(folder / f"{name}.json", now) for name in ("up", "recorder", "flow", "sender"))
    told = flow.content
    clock = _clock(recorder, now)
    stored = _lake(settings.lake_root, now, clock) if lake else _Lake([], told.get("quarantined"), None, [])
    return Status(
        at=_moment(now),
        data=str(settings.data),
        lake=settings.lake_root,
        processes=_processes(up, {"recorder": recorder, "flow": _heard(flow, settings.journal_dir, now), "sender": sender}, now),
        feeds=[_feed(venue, settings.venues[venue].symbols, recorder, told) for venue in settings.venues],
        gaps=[*stored.gaps, *_noticed(recorder, clock, stored.gaps)],
        trades=told.get("rows", {}).get("trades"),
        quarantined=stored.quarantined,
        duplicates=told.get("duplicates"),
        shed=_shed(recorder),
        backlog_s=told.get("journal", {}).get("lag_s"),
        backlog_bytes=told.get("journal", {}).get("lag_bytes"),
        last_seal=stored.last_seal,
        unsealed=stored.unsealed,
        disk=_disk(settings.journal_dir, now),
        news=_news(recorder),
        messages=messages.told(sender.content) if _fresh(sender) else None,
        refused=recorder.content.get("refused", {}) if _fresh(recorder) else {},
        notes=[*_clocks(told), *_notes(told)],
    )


def _read(path: Path, now: float) -> _File:
    try:
        return _File(msgspec.json.decode(path.read_bytes(), type=dict[str, Any]), now - path.stat().st_mtime)
    except (OSError, msgspec.DecodeError):
        return _File({}, math.inf)


def _heard(flow: _File, journal: Path, now: float) -> _File:
    """Return what the flow said, as of now if the journal has had nothing for it to read and tell of since."""
    due = now - flow.age + STALE_S
    return flow if any(size and at > due for at, size in _stats(journal.glob("*.tfj"))) else flow._replace(age=0.0)


def _processes(up: _File, own: dict[str, _File], now: float) -> list[Process]:
    """Tell the supervisor's children, or where none supervises, recorder and flow, and a sender that runs."""
    try:
        report = msgspec.convert(up.content, Report)
    except msgspec.ValidationError:
        report = None
    if report is None or up.age > STALE_S or not _alive(report.pid):
        found = [_unsupervised(name, file) for name, file in own.items()]
        return [process for process in found if process.name != "sender" or process.state != "stopped"]
    return [_supervised(child, own.get(child.name), now) for child in report.children]


def _supervised(child: Standing, own: _File | None, now: float) -> Process:
    state: str = child.state
    if state == "running" and not (child.pid and _alive(child.pid)):
        state = "dead"
    elif state == "running" and child.pid and _suspended(child.pid):
        state = "suspended"
    elif state == "running" and own and own.age > STALE_S and now - child.since > STALE_S:
        state = "hung"
    return Process(child.name, state, child.pid, child.restarts, now - child.since if child.since else None)


def _unsupervised(name: str, own: _File) -> Process:
    pid = own.content.get("pid")
    if pid is None or not _alive(pid):
        return Process(name, "stopped", None, 0, own.age if pid else None)
    state = "suspended" if _suspended(pid) else "running" if own.age <= STALE_S else "hung"
    return Process(name, state, pid, 0, None)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _fresh(own: _File) -> bool:
    """Tell whether what a process said of itself still counts: it was said lately, and the process lives."""
    pid = own.content.get("pid")
    return own.age <= STALE_S and (pid is None or _alive(pid))


def _suspended(pid: int) -> bool:
    """Tell whether a signal suspended a process, where the system says so."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except (OSError, IndexError):
        return False


def _clock(recorder: _File, now: float) -> float:
    """Return the time on the recorder's clock, which in a demo may run faster; ours where there is none."""
    at = recorder.content.get("at")
    return at / 1e9 + recorder.age if at else now


def _feed(venue: str, wanted: Sequence[str], recorder: _File, flow: dict[str, Any]) -> Feed:
    """Tell of a venue's feed; its times are those of the recorder's clock, which in a demo may run faster."""
    told, fresh = recorder.content.get("feeds", {}).get(venue, {}), _fresh(recorder)
    clock = _clock(recorder, 0.0)
    last = told.get("last_frame_ns")
    newest = [i["last_trade_ts"] for i in flow.get("instruments", []) if i["venue"] == venue and i["last_trade_ts"] > 0]
    return Feed(
        venue=venue,
        symbols=list(told.get("symbols") or wanted),
        connected=bool(told.get("connected")) and fresh,
        age_s=clock - last / 1e9 if last else None,
        lag_s=clock - max(newest) if newest and told else None,
        silent_streams=list(told.get("silent_streams", [])) if fresh else [],
        refused=list(told.get("refused", [])) if fresh else [],
        reconnects=told.get("reconnects", 0),
        books_broken=list(told.get("books_broken", [])),
        books_broken_s=told.get("books_broken_s"),
        clock_offset_s=None if (offset := flow.get("clock_offset_us", {}).get(venue)) is None else offset / 1e6,
        waits=told.get("waits", "") if fresh else "",
    )


def _shed(recorder: _File) -> Shed:
    told = recorder.content.get("shed", {}) if _fresh(recorder) else {}
    return Shed(told.get("now", "nothing"), told.get("reasons", {}), told.get("frames", {}))


def _noticed(recorder: _File, clock: float, known: Sequence[Gap]) -> list[Gap]:
    """Return the gaps that the recorder told of and the ledger does not hold yet: the flow may be behind, or down."""
    held = {(gap.venue, gap.symbol, gap.from_id) for gap in known}
    return [
        Gap(g["venue"], g["symbol"], "trades", _moment(clock - g["age"]), g["age"], g["from_id"], g["to_id"], g["reason"])
        for g in recorder.content.get("gaps_open", [])
        if (g["venue"], g["symbol"], g["from_id"]) not in held
    ]


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _news(recorder: _File) -> list[News]:
    clock = _clock(recorder, 0.0)
    return [
        News(name, f["items"], f["failing"], f["error"], clock - f["last_ok_ns"] / 1e9 if f["last_ok_ns"] else None)
        for name, f in recorder.content.get("news", {}).items()
    ]


def _lake(root: str, now: float, clock: float) -> _Lake:
    from pipelines.store.lake import Lake, LakeError

    lake = Lake(root)
    try:
        coverage, seals, quarantine = (lake.live(name).values() for name in ("coverage", "seals", "quarantine"))
    except LakeError:
        return _Lake([], None, None, [])
    sealed = {(file.date, file.venue) for file in seals}
    last = max(sealed, default=None)
    return _Lake(
        gaps=_open_gaps(lake, clock),
        quarantined=sum(file.rows for file in quarantine),
        last_seal=f"{last[1]} {last[0]}" if last else None,
        unsealed=_unsealed({(file.date, file.venue) for file in coverage} - sealed, now) if sealed else [],
    )


def _open_gaps(lake: Any, clock: float) -> list[Gap]:
    import polars as pl

    rows = lake.table("gaps").filter(pl.col("status") == "open").sort("ts").collect().to_dicts()
    return [
        Gap(r["venue"], r["symbol"], r["feed"], r["ts"], clock - r["ts"].timestamp(), r["from_id"], r["to_id"], r["reason"])
        for r in rows
    ]


def _unsealed(dates: set[tuple[str, str]], now: float) -> list[Unsealed]:
    late = []
    for day, venue in sorted(dates):
        date = dt.date.fromisoformat(day)
        due = dt.datetime.combine(date, dt.time(), dt.UTC) + SEAL_DUE
        if due.timestamp() < now:
            late.append(Unsealed(venue, date, now - due.timestamp()))
    return late


def _disk(journal: Path, now: float) -> Disk:
    """Measure the volume; growth is that of the segments written in the last day, between the first's end and the last's."""
    there = next(folder for folder in (journal.absolute(), *journal.absolute().parents) if folder.exists())
    volume = shutil.disk_usage(there)
    stats = sorted(_stats(journal.glob("*.tfj")))
    recent = [(at, size) for at, size in stats if at > now - _GROWTH_DAYS * 86_400]
    span = recent[-1][0] - recent[0][0] if recent else 0.0
    growth = sum(size for _, size in recent[1:]) / span * 86_400 if span > 0 else None
    spare = max(0.0, volume.free - RESERVE * volume.total)
    return Disk(volume.free, sum(size for _, size in stats), growth, spare / growth if growth else None)


def _stats(paths: Iterable[Path]) -> Iterator[tuple[float, int]]:
    """Yield when each was written, and its bytes; one that was deleted meanwhile is left out."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            yield found.st_mtime, found.st_size


def _clocks(flow: dict[str, Any]) -> list[str]:
    offsets = {venue: us / 1e6 for venue, us in flow.get("clock_offset_us", {}).items()}
    return [
        f"{venue}: its clock is {duration(-offset)} ahead of this machine's; bars close by its clock, and nothing is lost"
        if offset < 0
        else f"{venue}: trades come {duration(offset)} after their time: its clock is behind this machine's, or its line is slow"
        for venue, offset in offsets.items()
        if abs(offset) > OFFSET_S
    ]


def _notes(flow: dict[str, Any]) -> list[str]:
    return [
        f"{i['venue']} {i['symbol']}: no average daily volume is known, so no adv VPIN and no volume or dollar bars"
        " until a day is complete; kernels.bucket_volume stands in for it"
        for i in flow.get("instruments", [])
        if i.get("adv_known") is False
    ]
