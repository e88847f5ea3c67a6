"""What is wrong with a status, a line each, and in one line how it goes."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapeflow.messages import Messages
    from tapeflow.status import Feed, Process, Shed, Status

SILENT_S = 30.0
"""A feed may go this long without a frame; the recorder itself finds a stalled socket within 5 s."""

GAP_S = 600.0
NEWS_FAILURES = 3
BACKLOG_S = 60.0
DISK_DAYS = 1.0
SEAL_LATE = dt.timedelta(hours=24)
BROKEN_S = 60.0
"""A book may be without a sound snapshot this long; the recorder asks for one within seconds, then at least once a minute."""
SLACK_S = 60.0
"""Slack may be out of reach this long."""
_WHY = {
    "disk_low": "the disk is nearly full",
    "queue_full": "the journal cannot be written as fast as frames come",
    "write_failed": "the journal cannot be written",
}


def faults(status: Status) -> list[str]:
    """Say what is wrong, a line each; exit status 1 of the command if there is any."""
    found = [_down(p) for p in status.processes if p.state != "running"]
    found += [line for feed in status.feeds for line in _of_feed(feed)]
    found += _shedding(status.shed)
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
    found += _of_messages(status.messages) if status.messages else []
    found += [f"{what} refused: {fault}" for what, faults in status.refused.items() for fault in faults]
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
        f"sheds {', '.join(sorted(status.shed.reasons))}" if status.shed.reasons else "",
        *(f"{f.venue} waits: {f.waits}" for f in status.feeds if f.waits),
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


def _of_feed(feed: Feed) -> list[str]:
    found = [f"refused: {text}" for text in feed.refused]
    if feed.waits:
        found.append(f"waits: {feed.waits}")
    if feed.silent_streams:
        found.append(f"nothing has come of {', '.join(feed.silent_streams)}")
    if feed.books_broken and (feed.books_broken_s or 0.0) > BROKEN_S:
        found.append(f"no sound book of {', '.join(feed.books_broken)} for {duration(feed.books_broken_s or 0.0)}")
    silent = not feed.connected or feed.age_s is None or feed.age_s > SILENT_S
    return [*([_silence(feed)] if silent else []), *(f"feed {feed.venue}: {text}" for text in found)]


def _silence(feed: Feed) -> str:
    last = "no frame yet" if feed.age_s is None else f"last frame {duration(feed.age_s)} ago"
    return f"feed {feed.venue} is {'silent' if feed.connected else 'not connected'}, {last}"


def _shedding(shed: Shed) -> list[str]:
    feeds: dict[str, list[str]] = {}
    for feed, reason in sorted(shed.reasons.items()):
        feeds.setdefault(reason, []).append(feed)
    return [f"the recorder sheds {', '.join(names)}: {_WHY.get(reason, reason)}" for reason, names in feeds.items()]


def _of_messages(messages: Messages) -> list[str]:
    found, waited = [messages.alerts_fault] if messages.alerts_fault else [], messages.oldest_s or 0.0
    if messages.fault and messages.pending and (waited > SLACK_S or messages.fault.startswith("Slack refuses")):
        posts = "1 post waits" if messages.pending == 1 else f"{messages.pending} posts wait"
        found.append(f"{posts} for Slack, the first for {duration(waited)}: {messages.fault}")
    return found
