"""The status on one screen, and as JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.table import Table

from tapeflow import messages
from tapeflow.status import Feed, Status
from tapeflow.verdict import duration, faults

if TYPE_CHECKING:
    from collections.abc import Sequence

UNKNOWN = "-"
_GAPS_SHOWN = 5


def as_json(status: Status) -> str:
    """Return the status as one JSON object, with `faults` as a list of lines; times as ISO text, what is unknown as null."""
    return msgspec.json.encode({**msgspec.structs.asdict(status), "faults": faults(status)}).decode()


def show(status: Status) -> None:
    """Print the status."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    wrong = faults(status)
    console.print(f"[bold]tapeflow[/]  data {status.data}  lake {status.lake}  {status.at:%Y-%m-%d %H:%M:%S} UTC")
    console.print(
        _table(
            ("process", "state", "for", "restarts", "pid"),
            [(p.name, p.state, _age(p.age_s), str(p.restarts), str(p.pid or UNKNOWN)) for p in status.processes],
        )
    )
    console.print(
        _table(
            ("feed", "connection", "last frame", "newest trade", "symbols", "trouble"),
            [
                (f.venue, "up" if f.connected else "down", _ago(f.age_s), _ago(f.lag_s), " ".join(f.symbols), _trouble(f, status))
                for f in status.feeds
            ],
        )
    )
    console.print(_rest(status))
    if status.messages:
        console.print(messages.line(status.messages))
    for gap in status.gaps[:_GAPS_SHOWN]:
        console.print(f"  {gap.venue} {gap.symbol} {gap.feed} open for {duration(gap.age_s)}: {gap.reason or 'reason unknown'}")
    for note in status.notes:
        console.print(f"[dim]{note}[/]")
    for fault in wrong:
        console.print(f"[bold red]![/] {fault}")
    if not wrong:
        console.print("[green]all well[/]")


def _trouble(feed: Feed, status: Status) -> str:
    """Return how much is amiss with a feed; the lines at the end say what."""
    gaps = sum(gap.venue == feed.venue for gap in status.gaps)
    found = (
        ("refused", len(feed.refused)),
        ("silent", len(feed.silent_streams)),
        ("without book", len(feed.books_broken)),
        ("gaps open", gaps),
    )
    return ", ".join(f"{count} {what}" for what, count in found if count) or UNKNOWN


def _rest(status: Status) -> str:
    disk = status.disk
    left = f", {duration(disk.days_left * 86_400)} left at the journal's growth" if disk.days_left is not None else ""
    parts = (
        f"gaps open {len(status.gaps)}",
        f"quarantined {status.quarantined:,}" if status.quarantined is not None else "no lake yet",
        *([f"sheds {' '.join(sorted(status.shed.reasons))}"] if status.shed.reasons else []),
        f"backlog {_age(status.backlog_s)}",
        f"last seal {status.last_seal or 'none'}",
        f"disk {disk.free_bytes / 1e9:,.1f} GB free{left}",
    )
    return " · ".join(parts)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(*columns, box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    for row in rows:
        table.add_row(*row)
    return table


def _age(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else duration(seconds)


def _ago(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else f"{duration(seconds)} ago"
