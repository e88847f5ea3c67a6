"""Settings, rules and volumes that were in force on a date: as recorded, where the flow recorded it."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import msgspec
import polars as pl

from pipelines.history.day import Day
from pipelines.history.stored_files import SEAL, files_of, is_sealed, read, told, writer_of
from pipelines.market import DAY_US
from pipelines.records import Reference
from pipelines.rules import book
from pipelines.rules.book import Rules
from pipelines.settings import Kernels, digest
from pipelines.store.lake import Lake


class Change(NamedTuple):
    """From `us` (journal time) on these are in force."""

    us: int
    kernels: Kernels
    rules: Rules


class InForce(NamedTuple):
    """What a date is computed with.

    Attributes
    ----------
    changes : list of Change
        The first holds from the beginning, the others from their time on.
    volumes : dict
        Recorded (volume, notional) for thresholds of the date, by the venue's own name of the symbol.
    recorded : bool
        The flow recorded the date.
    job : str
        The job that brought it, by the name its files bear; empty: none did, or several.
    """

    changes: list[Change]
    volumes: dict[str, tuple[float, float]]
    recorded: bool
    job: str = ""

    @property
    def settings_hash(self) -> str:
        """The digest of all of it."""
        parts = [c.kernels.canonical() + b"\0" + book.canonical(c.rules) for c in self.changes]
        return digest(b"\0".join([*parts, msgspec.json.encode(sorted(self.volumes.items()))]))


def in_force(lake: Lake, day: Day, kernels: Kernels, rules: Rules) -> InForce:
    """Return what was in force on a date: of one that a job brought, with the job; of one that nobody did, as given."""
    if not files_of(lake, "coverage", day):
        job = _job(lake, day)
        noted = pl.DataFrame(read(lake, "inputs", [f for f in lake.live("inputs").values() if job and writer_of(f.path) == job]))
        last = _held(noted.with_columns(us=pl.lit(day.us)), day.us, kernels, () if noted.height else rules)[-1]
        return InForce([last], {}, recorded=False, job=job)
    noted = _noted(lake, day)
    held = _held(noted.filter(pl.col("venue") == "all"), day.us, kernels, rules)
    return InForce(held, _volumes(noted.filter(pl.col("kind") == "reference"), day), recorded=True)


def _job(lake: Lake, day: Day) -> str:
    """Return which job brought the trades of a day; a seal keeps it in its files."""
    files = files_of(lake, "trades", day)
    found = {told(lake, "trades", f).get("job", "") if is_sealed(f.path) else writer_of(f.path) for f in files}
    jobs = {name for name in found if name.startswith("job.")}
    return jobs.pop() if len(jobs) == 1 else ""


def _noted(lake: Lake, day: Day) -> pl.DataFrame:
    """Return what flows noted until the end of the day, in order of time."""
    until = day.date.isoformat()
    files = [f for f in lake.live("inputs").values() if f.venue in ("all", day.venue) and f.date <= until]
    files = [f for f in files if not writer_of(f.path).startswith(("job.", SEAL))]
    frame = pl.DataFrame(read(lake, "inputs", files))
    return (
        frame.with_columns(us=pl.col("ts").dt.epoch("us")).filter(pl.col("us") < day.us + DAY_US).sort("us", maintain_order=True)
    )


def _held(noted: pl.DataFrame, begin: int, kernels: Kernels, rules: Rules) -> list[Change]:
    """Return the settings and rules in force from `begin` (us) on; what is not noted is as given."""
    changes: list[Change] = []
    first = True
    for us, kind, value in noted.filter(pl.col("kind").is_in(["settings", "rules"])).select("us", "kind", "value").iter_rows():
        if kind == "settings":
            kernels = Kernels.model_validate_json(value)
        else:
            rules = book.decode(value.encode())
        if us <= begin or first:
            changes = [Change(begin, kernels, rules)]
        else:
            changes.append(Change(us, kernels, rules))
        first = False
    return changes or [Change(begin, kernels, rules)]


def _volumes(noted: pl.DataFrame, day: Day) -> dict[str, tuple[float, float]]:
    """Return the volumes recorded for thresholds of the date: the last before it began, else the first in it."""
    found: dict[str, tuple[float, float]] = {}
    for us, value in noted.select("us", "value").iter_rows():
        record = msgspec.json.decode(value, type=Reference)
        if (
            record.venue == day.venue
            and dt.date.fromisoformat(record.date) == day.date
            and (us < day.us or record.symbol not in found)
        ):
            found[record.symbol] = (record.adv, record.adv_notional)
    return found
