"""What `tapeflow status --json` may say, in words that a table of faults can be read by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import polars as pl

from tests.faults.house import House

Status = dict[str, Any]


class Says(NamedTuple):
    """A statement: how it reads, and whether it holds, given the status before the fault and the present one."""

    text: str
    holds: Callable[[Status, Status], bool]


def fault(text: str) -> Says:
    """A line of `faults` holds a text."""
    return Says(f"fault: {text}", lambda _, now: any(text in line for line in now["faults"]))


def note(text: str) -> Says:
    """A line of `notes` holds a text."""
    return Says(f"note: {text}", lambda _, now: any(text in line for line in now["notes"]))


def gap(reason: str) -> Says:
    """A gap in trades is open."""
    return Says(f"gap open: {reason}", lambda _, now: any(g["feed"] == "trades" and g["reason"] == reason for g in now["gaps"]))


def quiet(seconds: float) -> Says:
    """The feed is connected, and nothing has come for so long."""

    def holds(_: Status, now: Status) -> bool:
        (feed,) = now["feeds"]
        return bool(feed["connected"]) and feed["age_s"] > seconds

    return Says(f"no frame for {seconds:g} s", holds)


def books(count: int) -> Says:
    """So many books are broken."""
    return Says(f"{count} books broken", lambda _, now: len(now["feeds"][0]["books_broken"]) == count)


def sheds(*feeds: str) -> Says:
    """The recorder sheds these feeds and no others."""
    return Says(f"sheds {' '.join(feeds)}", lambda _, now: set(now["shed"]["reasons"]) == set(feeds))


def more(field: str, least: int) -> Says:
    """A count has grown by at least so much."""
    return Says(f"{least} {field} more", lambda before, now: now[field] - (before[field] or 0) >= least)


def reconnected() -> Says:
    """A socket was lost and opened again."""
    return Says("reconnected", lambda before, now: now["feeds"][0]["reconnects"] > before["feeds"][0]["reconnects"])


def connected_all_along() -> Says:
    """No socket was lost."""
    return Says("no reconnect", lambda before, now: now["feeds"][0]["reconnects"] == before["feeds"][0]["reconnects"])


def process(name: str, state: str, restarts: int = 0) -> Says:
    """A process is in a state, restarted so often since before the fault."""

    def holds(before: Status, now: Status) -> bool:
        was, is_ = ({p["name"]: p for p in status["processes"]}[name] for status in (before, now))
        return bool(is_["state"] == state and is_["restarts"] - was["restarts"] >= restarts)

    return Says(f"{name} {state}" + (f", {restarts} restarts" if restarts else ""), holds)


WELL = Says("all well", lambda _, now: now["faults"] == [] and now["gaps"] == [] and not now["feeds"][0]["books_broken"])


def ledger(house: House) -> dict[tuple[str, str, str], int]:
    """Return how many gaps the ledger holds, by feed, status and reason."""
    rows = house.lake.table("gaps").group_by("feed", "status", "reason").agg(pl.len()).collect().rows()
    return {(feed, status, reason): count for feed, status, reason, count in rows}
