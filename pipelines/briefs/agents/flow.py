"""Watchers of volume and of its direction: `rvol` and `vpin_regime`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from pipelines.alerts import severity
from pipelines.briefs.agents.finding import Finding
from pipelines.briefs.agents.reading import Frames, Reads, instruments, midnight
from pipelines.briefs.agents.spells import begins
from pipelines.instants import us

if TYPE_CHECKING:
    from pipelines.settings import Settings

RVOL: Final = Reads("features", ("symbol", "rvol_5m", "rvol_15m"), dt.timedelta())
FAST, SLOW = 3.0, 2.0
"""Relative volume of 5 and of 15 minutes that must be reached, both."""
REARM: Final = 0.7
COOLDOWN: Final = dt.timedelta(minutes=30)


def rvol(frames: Frames, _: Settings, at: dt.datetime) -> list[Finding]:
    """Volume high in 5 minutes and in 15: at least 3 and 2 times the mean of the 20 windows before, both at once.

    Not the detector `rvol_spike`, which looks at 5 minutes alone and takes its level from earlier dates.
    """
    found = []
    for venue, symbol, mine in instruments(frames["features"].filter(pl.col("end") > midnight(at))):
        fast, slow = (mine[name].cast(pl.Float64).to_numpy() for name in ("rvol_5m", "rvol_15m"))
        score, ends = np.minimum(fast / FAST, slow / SLOW), mine["end"].to_list()
        found += [
            Finding(
                agent="rvol",
                version=1,
                venue=venue,
                symbol=symbol,
                ts=mine["ts"][i],
                end=ends[i],
                about=ends[i].isoformat(),
                severity=severity(score[i], 1.0),
                score=float(score[i]),
                threshold=1.0,
                label=f"{symbol}: volume {fast[i]:.1f}x its usual in 5 minutes, {slow[i]:.1f}x in 15",
                figures={"rvol_5m": float(fast[i]), "rvol_15m": float(slow[i])},
            )
            for i in begins(score.tolist(), ends, 1.0, REARM, COOLDOWN)
        ]
    return found


class Band(NamedTuple):
    """A band of VPIN's percentile: entered from `enter` on, left below `leave`."""

    name: str
    enter: float
    leave: float


BANDS: Final = (Band("normal", 0.0, 0.0), Band("high", 0.9, 0.8), Band("extreme", 0.99, 0.95))
DWELL_US: Final = 900_000_000
"""A band is left so long after the last value in it, or above."""
VPIN: Final = Reads("vpin", ("symbol", "setting", "bucket", "vpin_flag", "pct", "partial"), dt.timedelta(hours=6))


def vpin_regime(frames: Frames, settings: Settings, at: dt.datetime) -> list[Finding]:
    """VPIN's trailing percentile moving from one band to another: normal, high (from 90 %), extreme (from 99 %).

    A band is left below 80 and 95 %, once no value of the last 15 minutes was in it, so that one that swings does not tell
    over and over. Of the first setting of `kernels.vpin` that the lake has.
    """
    start, known = us(midnight(at)), frames["vpin"].filter(~pl.col("partial"), pl.col("pct").is_not_null())
    wanted = [name for name in settings.kernels.vpin_settings() if name in set(known["setting"].unique())][:1]
    found = []
    for venue, symbol, mine in instruments(known.filter(pl.col("setting").is_in(wanted))):
        rows = mine.sort("ts", "bucket")
        pcts, ends = rows["pct"].to_list(), rows["end"].dt.epoch("us").to_list()
        band, held = 0, 0
        for i, (pct, end) in enumerate(zip(pcts, ends, strict=True)):
            if not band and pct < BANDS[1].enter:
                continue
            before, now = band, moved(band, pct)
            if now >= band:
                band, held = now, end
            elif end - held >= DWELL_US:
                band = now
            if band != before and end > start:
                found.append(_change(venue, symbol, rows.row(i, named=True), before, band))
    return found


def moved(band: int, pct: float) -> int:
    """Return the band that follows `band` at a percentile."""
    entered = max(i for i, one in enumerate(BANDS) if pct >= one.enter)
    if entered >= band:
        return entered
    return max(i for i in range(band + 1) if pct >= BANDS[i].leave)


def _change(venue: str, symbol: str, row: dict[str, object], before: int, band: int) -> Finding:
    pct, end, ts = row["pct"], row["end"], row["ts"]
    assert isinstance(pct, float)
    assert isinstance(end, dt.datetime)
    assert isinstance(ts, dt.datetime)
    up = band > before
    return Finding(
        agent="vpin_regime",
        version=1,
        venue=venue,
        symbol=symbol,
        ts=ts,
        end=end,
        about=f"{row['setting']} {end.date()} {row['bucket']} {BANDS[band].name}",
        severity=band if up else 1,
        score=pct,
        threshold=BANDS[band].enter if up else BANDS[before].leave,
        label=f"{symbol}: VPIN {BANDS[before].name} -> {BANDS[band].name}, {100 * pct:.1f} % of past values are at most this one",
        figures={"setting": row["setting"], "vpin_flag": row["vpin_flag"], "pct": pct, "from": BANDS[before].name},
    )
