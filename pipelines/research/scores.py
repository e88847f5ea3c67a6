"""How good alerts were, held against events: precision, recall, lead time, false alarms a day, base rate.

An alert at a (its `end`, when it could be known) is followed by an event from s (start) to e (end) if e - H <= a <= s
and a < e, H the horizon: e lies in (a, a + H], and none of the event lies before the alert. An alarm during an event is
no lead. Alerts within a cooldown of one that counts are merged into it.

Only what can be judged counts: alerts in a watched time that goes on for H, events in one that has gone on for H.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.market import DAY_US
from pipelines.research import bootstrap
from pipelines.research.events import INSTRUMENT
from pipelines.research.rules import MINUTE_US
from pipelines.research.windows import Windows, contains, places, union

DETECTOR = ["detector", "version", "origin"]

_COUNTED = {
    "alerts": ("no alert can be judged", "alerts"),
    "events": ("no events", "events"),
    "time": ("never watched for so long", "watched"),
}
"""What is said where there is none of it, and what it is called where there is some."""

Ints = npt.NDArray[np.int64]


class Estimate(NamedTuple):
    """A figure with its 95 % interval; what is unknown is None, and `why` says the reason."""

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str = ""


class Score(NamedTuple):
    """What alerts were worth.

    Attributes
    ----------
    days : float
        Time in which an alert can be judged, in days of 24 hours.
    alerts, unjudged : int
        Alerts after merging, and those beside them that cannot be judged.
    hits, during : int
        Alerts followed by an event; alerts that were not, but came during one.
    precision : Estimate
        hits / alerts.
    base_rate : float or None
        What precision random alerts would have: the share of the places that an alert, moved by whole minutes within
        the judged time, could take and be followed by an event. Exact, not drawn. None where there is no such time.
    events, foretold : int
        Events, and those that followed an alert.
    recall : Estimate
        foretold / events.
    lead_s : Estimate
        Median over foretold events of the time from the first alert within H to the event's end, s.
    false_per_day : Estimate
        (alerts - hits) / days.
    """

    days: float
    alerts: int
    unjudged: int
    hits: int
    during: int
    precision: Estimate
    base_rate: float | None
    events: int
    foretold: int
    recall: Estimate
    lead_s: Estimate
    false_per_day: Estimate

    @property
    def beats_base(self) -> bool:
        """Whether the lower end of precision's interval is above the base rate."""
        low = self.precision.low
        return low is not None and self.base_rate is not None and low > self.base_rate


class Scored(NamedTuple):
    """The score of a detector's alerts of one instrument, version and origin, and the span that was watched."""

    venue: str
    symbol: str
    detector: str
    version: int
    origin: str
    start: dt.datetime
    end: dt.datetime
    score: Score


class Judged(NamedTuple):
    """What became of the alerts and events of one instrument; `day` is a number of days since 1970.

    Attributes
    ----------
    alerts : pl.DataFrame
        `day`, `hit`, `during`, `chance` (the base rate of an alert at this second of the minute).
    events : pl.DataFrame
        `day`, `lead_s` (null: no alert came before).
    time : pl.DataFrame
        `day`, `time` in which an alert can be judged (days).
    unjudged : int
    chance : float
        The base rate of an alert on a whole minute.
    """

    alerts: pl.DataFrame
    events: pl.DataFrame
    time: pl.DataFrame
    unjudged: int
    chance: float


def score(
    alerts: pl.DataFrame, events: pl.DataFrame, watched: pl.DataFrame, horizon_us: int, cooldown_us: int | None = None
) -> Score:
    """Score alerts of one detector, all instruments taken together.

    Parameters
    ----------
    alerts
        Rows of table `alerts`.
    events, watched
        As `events.find` and `events.watched` give them.
    horizon_us
        H, us.
    cooldown_us
        Alerts of an instrument less than this after one that counts are merged into it, us; by default H.
    """
    cooldown_us = horizon_us if cooldown_us is None else cooldown_us
    instruments = pl.concat([alerts.select(INSTRUMENT), watched.select(INSTRUMENT)]).unique().sort(INSTRUMENT)
    none = np.empty(0, np.int64)
    found = []
    for instrument in instruments.iter_rows():
        mine, happened, seen = (_of(frame, instrument) for frame in (alerts, events, watched))
        times = merge(_us(mine, "end"), cooldown_us)
        found.append(
            _judge(times, _us(happened, "start"), _us(happened, "end"), _us(seen, "start"), _us(seen, "end"), horizon_us)
        )
    return _sum_up(found or [_judge(none, none, none, none, none, horizon_us)])


def by_detector(
    alerts: pl.DataFrame, events: pl.DataFrame, watched: pl.DataFrame, horizon_us: int, cooldown_us: int | None = None
) -> list[Scored]:
    """Score the alerts of each instrument, detector, version and origin by themselves (as `score`), in this order.

    Where an instrument was never watched the span is that of its alerts.
    """
    out = []
    for key, mine in sorted(alerts.partition_by(*INSTRUMENT, *DETECTOR, as_dict=True).items()):
        here = key[: len(INSTRUMENT)]
        seen = _of(watched, here)
        span = (mine["end"].min(), mine["end"].max()) if seen.is_empty() else (seen["start"].min(), seen["end"].max())
        out.append(Scored(*(*key, *span, score(mine, _of(events, here), seen, horizon_us, cooldown_us))))
    return out


def precision_beats_base(
    alerts: pl.DataFrame, events: pl.DataFrame, watched: pl.DataFrame, horizon_us: int, cooldown_us: int | None = None
) -> bool:
    """Whether the lower end of the interval of these alerts' precision is above the base rate (see `score`).

    False where too few days bear on it to tell.
    """
    return score(alerts, events, watched, horizon_us, cooldown_us).beats_base


def merge(times: Ints, cooldown_us: int) -> Ints:
    """Return the alerts that count: the first, and then each that is `cooldown_us` or more after the last that counts."""
    times = np.unique(times)
    kept, k = [], 0
    while k < times.size:
        kept.append(k)
        k = max(k + 1, int(np.searchsorted(times, times[k] + cooldown_us)))
    return times[np.array(kept, np.int64)]


def _judge(alerts: Ints, starts: Ints, ends: Ints, since: Ints, until: Ints, horizon: int) -> Judged:
    """Judge the alerts of an instrument by its events and the spells from `since` to `until` in which it was watched."""
    spell = np.searchsorted(since, ends) - 1
    inside = spell >= 0
    inside[inside] = ends[inside] <= until[spell[inside]]
    starts, ends, spell = starts[inside], ends[inside], spell[inside]
    first, last = ends - horizon, np.minimum(starts, ends - 1)

    time = union(since, until - horizon)
    before = union(np.maximum(first, since[spell]), np.minimum(last, until[spell] - horizon))
    judged = alerts[contains(time, alerts)]
    hit = contains(before, judged)
    phases, phase = np.unique(judged % MINUTE_US, return_inverse=True)
    chances = np.array([_chance(before, time, p) for p in phases.tolist()], np.float64)

    whole = first >= since[spell]
    leads = _leads(alerts[contains(union(since, until), alerts)], ends[whole], first[whole], last[whole])
    return Judged(
        pl.DataFrame(
            {
                "day": judged // DAY_US,
                "hit": hit,
                "during": ~hit & contains(union(starts + 1, ends), judged),
                "chance": chances[phase],
            }
        ),
        pl.DataFrame({"day": ends[whole] // DAY_US, "lead_s": leads / 1e6}).with_columns(pl.col("lead_s").replace(0.0, None)),
        _per_day(time),
        alerts.size - judged.size,
        _chance(before, time, 0),
    )


def _leads(alerts: Ints, ends: Ints, first: Ints, last: Ints) -> Ints:
    """Return the time from the first alert between `first` and `last` to the end of each event; 0 where there is none."""
    which = np.searchsorted(alerts, first)
    there = which < alerts.size
    there[there] = alerts[which[there]] <= last[there]
    leads = np.zeros(ends.size, np.int64)
    leads[there] = ends[there] - alerts[which[there]]
    return leads


def _chance(before: Windows, time: Windows, phase: int) -> float:
    """Return the share of the judged minutes, at `phase` in each, that an event follows."""
    possible = places(time, MINUTE_US, phase)
    return places(before, MINUTE_US, phase) / possible if possible else 0.0


def _per_day(time: Windows) -> pl.DataFrame:
    """Return how much of each UTC date the spans cover, in days."""
    count = time.last // DAY_US - time.first // DAY_US + 1
    which = np.repeat(np.arange(count.size), count)
    day = np.repeat(time.first // DAY_US - (np.cumsum(count) - count), count) + np.arange(which.size)
    covered = np.minimum(time.last[which], (day + 1) * DAY_US) - np.maximum(time.first[which], day * DAY_US)
    return pl.DataFrame({"day": day, "time": covered / DAY_US})


def _sum_up(found: list[Judged]) -> Score:
    """Return the score of all instruments, with intervals over the UTC dates on which any of them was watched."""
    alerts, events, time = (pl.concat(part) for part in list(zip(*found, strict=True))[:3])
    one = pl.lit(1, pl.Float64)
    by_day = (
        pl.concat(
            [
                time,
                alerts.select("day", alerts=one, hits=pl.col("hit").cast(pl.Float64), misses=(~pl.col("hit")).cast(pl.Float64)),
                events.select("day", events=one, foretold=pl.col("lead_s").is_not_null().cast(pl.Float64)),
            ],
            how="diagonal",
        )
        .group_by("day")
        .sum()
        .sort("day")
    )
    days = by_day["time"].sum()
    return Score(
        days=days,
        alerts=alerts.height,
        unjudged=sum(judged.unjudged for judged in found),
        hits=alerts["hit"].sum(),
        during=alerts["during"].sum(),
        precision=_ratio(by_day, "hits", "alerts"),
        base_rate=_base_rate(alerts, found),
        events=events.height,
        foretold=events["lead_s"].count(),
        recall=_ratio(by_day, "foretold", "events"),
        lead_s=_lead(events.drop_nulls(), by_day["day"]),
        false_per_day=_ratio(by_day, "misses", "time"),
    )


def _ratio(by_day: pl.DataFrame, above: str, below: str) -> Estimate:
    top, bottom = by_day[above].to_numpy(), by_day[below].to_numpy()
    none, some = _COUNTED[below]
    if not bottom.any():
        return Estimate(None, why=none)
    interval = bootstrap.ratio if below == "time" else bootstrap.share
    return Estimate(float(top.sum() / bottom.sum()), *interval(top, bottom, some))


def _lead(foretold: pl.DataFrame, days: pl.Series) -> Estimate:
    if foretold.is_empty():
        return Estimate(None, why="no event was foretold")
    leads, day = foretold["lead_s"].to_numpy(), np.searchsorted(days.to_numpy(), foretold["day"].to_numpy())
    return Estimate(float(np.median(leads)), *bootstrap.median(leads, day, len(days), "foretold events"))


def _base_rate(alerts: pl.DataFrame, found: list[Judged]) -> float | None:
    """Return the mean chance of the alerts; where there are none, that of an alert at any judged whole minute."""
    if not alerts.is_empty():
        return float(alerts["chance"].mean())  # type: ignore[arg-type]
    weights = np.array([judged.time["time"].sum() for judged in found])
    return float(np.average([judged.chance for judged in found], weights=weights)) if weights.any() else None


def _of(frame: pl.DataFrame, instrument: tuple[object, ...]) -> pl.DataFrame:
    return frame.filter(pl.col("venue") == instrument[0], pl.col("symbol") == instrument[1]).sort("end")


def _us(frame: pl.DataFrame, column: str) -> Ints:
    return frame[column].dt.epoch("us").to_numpy()
