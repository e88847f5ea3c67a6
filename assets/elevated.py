"""A sensor that asks for a brief as soon as an episode was told: the reply in its thread."""

import datetime as dt
import time
from collections.abc import Callable

import dagster as dg
import msgspec
import polars as pl

from assets.briefs import PRIORITY, jobs, run_config
from pipelines.briefs import outbox
from pipelines.briefs.episodes import Episode
from pipelines.settings import Settings
from pipelines.store.lake import Lake, LakeError

TELLING = "telling"
"""Under this the sender remembers what it has told."""
EVERY_S = 10
AGAIN_S = 180.0
"""A brief that is not there so long after it was asked for is asked for again."""
TRIES = 3


class Asked(msgspec.Struct, frozen=True):
    """When a brief of an episode was asked for last (s since 1970), and how often."""

    at: float
    tries: int


def elevated_briefs(settings: Settings, clock: Callable[[], float] = time.time) -> dg.SensorDefinition:
    """Return the sensor."""

    @dg.sensor(
        name="elevated",
        job=jobs["elevated"],
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Ask for the brief of each episode that was told and has none yet."""
        asked = msgspec.json.decode(context.cursor, type=dict[str, Asked]) if context.cursor else {}
        episodes = told(settings)
        now = clock()
        going = {one.id: asked[one.id] for one in episodes if one.id in asked}
        due = [one for one in episodes if one.id not in going or _is_overdue(going[one.id], now)]
        written = with_brief(settings, [one.id for one in due]) if due else set()
        wanted = [one for one in due if one.id not in written]
        going |= {one.id: Asked(now, asked[one.id].tries + 1 if one.id in asked else 1) for one in wanted}
        going |= {name: Asked(now, TRIES) for name in written}
        context.update_cursor(msgspec.json.encode(going).decode())
        if not wanted:
            return dg.SkipReason(f"{len(episodes)} episodes under way, all asked for" if episodes else "no episode under way")
        return dg.SensorResult(run_requests=[_request(one, going[one.id].tries, now) for one in wanted])

    return sensor


def told(settings: Settings) -> list[Episode]:
    """Return the episodes under way of which something was told."""
    if not outbox.place(settings).exists():
        return []
    box = outbox.Outbox(outbox.place(settings))
    try:
        kept = box.get(TELLING) or {}
    finally:
        box.close()
    return msgspec.convert(list(kept.get("episodes", {}).values()), list[Episode])


def with_brief(settings: Settings, episodes: list[str]) -> set[str]:
    """Return those of some episodes whose brief is in the lake."""
    try:
        briefs = Lake(settings.lake_root).table("briefs").filter(pl.col("episode").is_in(episodes))
        return set(briefs.select("episode").collect()["episode"].to_list())
    except LakeError:
        return set()


def _is_overdue(asked: Asked, now: float) -> bool:
    return asked.tries < TRIES and now - asked.at > AGAIN_S


def _request(episode: Episode, tries: int, now: float) -> dg.RunRequest:
    at = dt.datetime.fromtimestamp(now, dt.UTC)
    return dg.RunRequest(
        run_key=f"{episode.id} {tries}",
        run_config=run_config("elevated", at, (f"{episode.venue}/{episode.symbol}",), episode.id),
        tags={PRIORITY: "10", "tapeflow/episode": episode.id, "tapeflow/instrument": f"{episode.venue}/{episode.symbol}"},
    )
