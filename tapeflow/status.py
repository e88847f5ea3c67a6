"""`tapeflow status`: what the processes, the feeds, the lake and the disk are found to do, and what is wrong with it.

The processes tell of themselves in `<data>/status/`: `up.json` (the supervisor, every second), `recorder.json` (every
second) and `flow.json` (every epoch). How old a file is, is told by the file system: clocks of venues are not needed.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tapeflow.supervisor import Report, Standing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipelines.settings import Settings

STALE_S = 30.0
"""A process whose status file is older than this hangs or is gone."""

SILENT_S = 30.0
"""A feed may go this long without a frame; the recorder itself finds a stalled socket within 5 s."""

GAP_S = 600.0
NEWS_FAILURES = 3
BACKLOG_S = 60.0
DISK_DAYS = 1.0
SEAL_DUE = dt.timedelta(days=1, minutes=15)
"""After the start of a date; what is recorded of it is then complete."""
SEAL_LATE = dt.timedelta(hours=24)
RESERVE = 0.05
"""The share of the disk below which the recorder sheds."""
_GROWTH_DAYS = 1.0


class Process(msgspec.Struct):
    """A process of ours. `state` is starting, running, waiting (to be started again), refused, stopped, hung or dead."""

    name: str
    state: str
    pid: int | None
    restarts: int
    age_s: float | None
    """How long it has been in this state."""


class Feed(msgspec.Struct):
    """A venue's feed. `age_s`: since its last frame; `lag_s`: how old the newest trade is that the flow has stored.

    `silent_streams` were asked for and never came, like `quotes BTC-USDT`; `refused` is what the venue refuses, in its words.
    """

    venue: str
    symbols: list[str]
    connected: bool
    age_s: float | None
    lag_s: float | None
    silent_streams: list[str] = []
    refused: list[str] = []


class Gap(msgspec.Struct):
    """A gap that is open in the ledger."""

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
    backlog_s: float | None
    backlog_bytes: int | None
    last_seal: str | None
    unsealed: list[Unsealed]
    disk: Disk
    news: list[News]
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
    up, recorder, flow = (_read(settings.data / "status" / f"{name}.json", now) for name in ("up", "recorder", "flow"))
    told = flow.content
    stored = _lake(settings.lake_root, now) if lake else _Lake([], told.get("quarantined"), None, [])
    return Status(
        at=dt.datetime.fromtimestamp(now, dt.UTC),
        data=str(settings.data),
        lake=settings.lake_root,
        processes=_processes(up, {"recorder": recorder, "flow": flow}, now),
        feeds=[_feed(venue, settings.venues[venue].symbols, recorder, told) for venue in settings.venues],
        gaps=stored.gaps,
        trades=told.get("rows", {}).get("trades"),
        quarantined=stored.quarantined,
        backlog_s=told.get("journal", {}).get("lag_s"),
        backlog_bytes=told.get("journal", {}).get("lag_bytes"),
        last_seal=stored.last_seal,
        unsealed=stored.unsealed,
        disk=_disk(settings.journal_dir, now),
        news=_news(recorder),
        notes=_notes(told),
    )


def faults(status: Status) -> list[str]:
    """Say what is wrong, a line each; exit status 1 of the command if there is any."""
    found = [_down(p) for p in status.processes if p.state != "running"]
    found += [_silence(f) for f in status.feeds if not f.connected or f.age_s is None or f.age_s > SILENT_S]
    found += [f"feed {f.venue}: refused: {text}" for f in status.feeds for text in f.refused]
    found += [f"feed {f.venue}: nothing has come of {', '.join(f.silent_streams)}" for f in status.feeds if f.silent_streams]
    found += [
        f"gap in {g.feed} of {g.venue} {g.symbol} open for {duration(g.age_s)}, since {g.since:%Y-%m-%d %H:%M:%S}"
        for g in status.gaps
        if g.age_s > GAP_S
    ]
    if status.backlog_s is not None and status.backlog_s > BACKLOG_S:
        found.append(f"the flow is {duration(status.backlog_s)} behind the journal")
    if status.disk.days_left is not None and status.disk.days_left < DISK_DAYS:
        found.append(f"the disk is full in {duration(status.disk.days_left * 86_400)} at the journal's growth")
    late = SEAL_LATE.total_seconds()
    found += [f"{u.venue} {u.date} is not sealed, due for {duration(u.late_s)}" for u in status.unsealed if u.late_s > late]
    failing = [n for n in status.news if n.failing >= NEWS_FAILURES]
    found += [f"news feed {n.feed} has failed {n.failing} times in a row: {n.error}" for n in failing]
    return found


def headline(status: Status) -> str:
    """Return one line on how it goes."""
    running = sum(p.state == "running" for p in status.processes)
    ages = [f.age_s for f in status.feeds if f.age_s is not None]
    parts = [
        f"{running} of {len(status.processes)} running",
        f"{status.trades:,} trades" if status.trades is not None else "no trades yet",
        f"last frame {duration(max(ages))} ago" if ages else "no frame yet",
        f"backlog {duration(status.backlog_s)}" if status.backlog_s is not None else "",
        f"{status.quarantined:,} quarantined" if status.quarantined else "",
        *(p.name + " " + p.state for p in status.processes if p.state != "running"),
    ]
    return " · ".join(part for part in parts if part)


def duration(seconds: float) -> str:
    """Return a duration as people say it: `0.4 s`, `12 min`, `3.5 h`, `20 days`."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            value = seconds / size
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
    return f"{seconds:.1f} s"


def _down(process: Process) -> str:
    if process.state == "stopped":
        return f"{process.name} is stopped; `tapeflow up` starts it"
    return f"{process.name} is {process.state}" + (f" (process {process.pid})" if process.pid else "")


def _silence(feed: Feed) -> str:
    last = "no frame yet" if feed.age_s is None else f"last frame {duration(feed.age_s)} ago"
    return f"feed {feed.venue} is {'silent' if feed.connected else 'not connected'}, {last}"


def _read(path: Path, now: float) -> _File:
    try:
        return _File(msgspec.json.decode(path.read_bytes(), type=dict[str, Any]), now - path.stat().st_mtime)
    except (OSError, msgspec.DecodeError):
        return _File({}, math.inf)


def _processes(up: _File, own: dict[str, _File], now: float) -> list[Process]:
    """Tell the supervisor's children, or where none supervises, recorder and flow."""
    try:
        report = msgspec.convert(up.content, Report)
    except msgspec.ValidationError:
        report = None
    if report is None or up.age > STALE_S or not _alive(report.pid):
        return [_unsupervised(name, file) for name, file in own.items()]
    return [_supervised(child, own.get(child.name), now) for child in report.children]


def _supervised(child: Standing, own: _File | None, now: float) -> Process:
    state: str = child.state
    if state == "running" and not (child.pid and _alive(child.pid)):
        state = "dead"
    elif state == "running" and own and own.age > STALE_S and now - child.since > STALE_S:
        state = "hung"
    return Process(child.name, state, child.pid, child.restarts, now - child.since)


def _unsupervised(name: str, own: _File) -> Process:
    pid = own.content.get("pid")
    if pid is None or not _alive(pid):
        return Process(name, "stopped", None, 0, own.age if pid else None)
    return Process(name, "running" if own.age <= STALE_S else "hung", pid, 0, None)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _feed(venue: str, wanted: Sequence[str], recorder: _File, flow: dict[str, Any]) -> Feed:
    """Tell of a venue's feed; its times are those of the recorder's clock, which in a demo may run faster."""
    told = recorder.content.get("feeds", {}).get(venue, {})
    clock = recorder.content.get("at", 0) / 1e9 + recorder.age
    last = told.get("last_frame_ns")
    newest = [i["last_trade_ts"] for i in flow.get("instruments", []) if i["venue"] == venue and i["last_trade_ts"] > 0]
    return Feed(
        venue=venue,
        symbols=list(told.get("symbols", wanted)),
        connected=bool(told.get("connected")) and recorder.age <= STALE_S,
        age_s=clock - last / 1e9 if last else None,
        lag_s=clock - max(newest) if newest and told else None,
        silent_streams=list(told.get("silent_streams", [])),
        refused=list(told.get("refused", [])),
    )


def _news(recorder: _File) -> list[News]:
    clock = recorder.content.get("at", 0) / 1e9 + recorder.age
    return [
        News(name, f["items"], f["failing"], f["error"], clock - f["last_ok_ns"] / 1e9 if f["last_ok_ns"] else None)
        for name, f in recorder.content.get("news", {}).items()
    ]


def _lake(root: str, now: float) -> _Lake:
    from pipelines.store.lake import Lake, LakeError

    lake = Lake(root)
    try:
        coverage, seals, quarantine = (lake.live(name).values() for name in ("coverage", "seals", "quarantine"))
    except LakeError:
        return _Lake([], None, None, [])
    sealed = {(file.date, file.venue) for file in seals}
    last = max(sealed, default=None)
    return _Lake(
        gaps=_open_gaps(lake, now),
        quarantined=sum(file.rows for file in quarantine),
        last_seal=f"{last[1]} {last[0]}" if last else None,
        unsealed=_unsealed({(file.date, file.venue) for file in coverage} - sealed, now) if sealed else [],
    )


def _open_gaps(lake: Any, now: float) -> list[Gap]:
    import polars as pl

    rows = lake.table("gaps").filter(pl.col("status") == "open").sort("ts").collect().to_dicts()
    return [
        Gap(r["venue"], r["symbol"], r["feed"], r["ts"], now - r["ts"].timestamp(), r["from_id"], r["to_id"], r["reason"])
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
    stats = sorted((s.st_mtime, s.st_size) for s in (path.stat() for path in journal.glob("*.tfj")))
    recent = [(at, size) for at, size in stats if at > now - _GROWTH_DAYS * 86_400]
    span = recent[-1][0] - recent[0][0] if recent else 0.0
    growth = sum(size for _, size in recent[1:]) / span * 86_400 if span > 0 else None
    spare = max(0.0, volume.free - RESERVE * volume.total)
    return Disk(volume.free, sum(size for _, size in stats), growth, spare / growth if growth else None)


def _notes(flow: dict[str, Any]) -> list[str]:
    return [
        f"{i['venue']} {i['symbol']}: no average daily volume is known, so no adv VPIN and no volume or dollar bars"
        " until a day is complete; kernels.bucket_volume stands in for it"
        for i in flow.get("instruments", [])
        if i.get("adv_known") is False
    ]
