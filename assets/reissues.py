"""Archives that issue a file again after days were made of it: asked once a week, told as a check, changed by whoever wants."""

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

import dagster as dg
import msgspec

from assets import home
from assets.archives import ArchiveError, renewed
from assets.compaction import table
from assets.download import Patience
from assets.finishing import RECORDED, Ask, Outcome, retry
from assets.history import ARCHIVE
from assets.research import Clock, utc
from pipelines.history.day import Day
from pipelines.history.earlier import newest_seals
from pipelines.history.seal import FILES
from pipelines.settings import Settings
from pipelines.store.lake import Lake, LakeError

REACH = dt.timedelta(days=62)
"""Of days older than this nobody asks: what a venue corrects it corrects within weeks."""
PATIENCE = Patience(attempts=2)
KEY = dg.AssetCheckKey(ARCHIVE, "as_issued")


class Found(NamedTuple):
    """How many days were asked about, those of which files were issued anew, and the venues that did not answer, with why."""

    asked: int
    renewed: dict[Day, list[str]]
    silent: dict[str, str]


def reissues(settings: Settings, lake: Lake, since: dt.date, patience: Patience = PATIENCE) -> Found:
    """Ask the archives whether the files that days were made of, from a date on, are those they have now."""
    found = Found(0, {}, {})
    for day, made in _archived(lake, since):
        if day.venue in found.silent:
            continue
        try:
            files = renewed(settings, day, made, patience)
        except (ArchiveError, ValueError) as error:
            found.silent[day.venue] = str(error)
            continue
        found = found._replace(asked=found.asked + (files is not None))
        if files:
            found.renewed[day] = files
    return found


def _archived(lake: Lake, since: dt.date) -> Iterator[tuple[Day, dict[str, dict[str, str]]]]:
    """Yield the sealed days that came from an archive, each with the symbols of it, and the checksums of their files."""
    for venue in sorted({file.venue for file in lake.live("seals").values()}):
        for date, seals in sorted(newest_seals(lake, venue).items()):
            archived = {symbol: row for symbol, row in sorted(seals.items()) if row["source"] not in RECORDED}
            if archived and date >= since:
                made = {symbol: msgspec.json.decode(row["details"] or "{}").get(FILES, {}) for symbol, row in archived.items()}
                yield Day(date, venue), made


def reissue_check(settings: Settings, clock: Clock = utc) -> dg.AssetChecksDefinition:
    """Return the check of the archive's files."""

    @dg.asset_check(
        asset=ARCHIVE,
        name=KEY.name,
        description=f"No file of the last {REACH.days} days was issued anew since days were made of it.",
    )
    def as_issued() -> dg.AssetCheckResult:
        """Ask the archives for the checksums, or the tags, of the files that are kept."""
        lake = Lake(settings.lake_root)
        try:
            lake.require()
        except LakeError as error:
            return dg.AssetCheckResult(passed=True, description=str(error))
        return result(reissues(settings, lake, clock().date() - REACH))

    return as_issued


def result(found: Found) -> dg.AssetCheckResult:
    """Return what Dagster is told."""
    commands = retry((Outcome(day, "failed") for day in found.renewed), Ask(force=True))
    again = [command + home.option() for command in commands]
    silent = "".join(f"; {venue} not asked: {why}" for venue, why in found.silent.items())
    told = f"{len(found.renewed)} of {found.asked} days have files that were issued anew{silent}"
    rows = [{"day": str(day), "files": ", ".join(files)} for day, files in found.renewed.items()]
    return dg.AssetCheckResult(
        passed=not found.renewed,
        severity=dg.AssetCheckSeverity.WARN,
        description=told + (f". To take them anew: {'; '.join(again)}" if again else ""),
        metadata={"days_asked": found.asked, "days_renewed": len(found.renewed), **table("renewed", rows)},
    )


archive_check = dg.define_asset_job(
    "archive_check",
    dg.AssetSelection.checks(KEY),
    description="Ask the archives whether they issued files anew that days were made of.",
)
weekly = dg.ScheduleDefinition(
    name="weekly_archive_check", job=archive_check, cron_schedule="30 5 * * 1", default_status=dg.DefaultScheduleStatus.STOPPED
)
"""It reaches outside: off until it is wanted."""
