"""Watchers of direction: `trend` and `reversal`. Neither says what comes next."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipelines.alerts import severity
from pipelines.briefs.agents.finding import Finding
from pipelines.briefs.agents.reading import Frames, Reads, instruments, midnight
from pipelines.briefs.agents.spells import Floats, begins

if TYPE_CHECKING:
    from pipelines.settings import Settings

POSTURE: Final = Reads("posture", ("symbol", "state", "since", "confidence", "p_up"), dt.timedelta())
HELD: Final = dt.timedelta(minutes=15)
AGREED: Final = 0.5
"""Least share of the terms' sum that points one way."""


def trend(frames: Frames, _: Settings, at: dt.datetime) -> list[Finding]:
    """A posture, long or short, that has held for 15 minutes while at least half of the terms' weight points its way.

    Told once a posture. Not the detector `new_trend`, which tells of each posture when it begins.
    """
    found, told = [], set()
    rows = frames["posture"].filter(pl.col("end") > midnight(at), pl.col("state") != "flat", pl.col("since").is_not_null())
    held = rows.filter(pl.col("end") - pl.col("since") >= HELD, pl.col("confidence") >= AGREED)
    for row in held.iter_rows(named=True):
        posture = row["venue"], row["symbol"], row["since"], row["state"]
        if posture in told:
            continue
        told.add(posture)
        minutes = (row["end"] - row["since"]) // dt.timedelta(minutes=1)
        found.append(
            Finding(
                agent="trend",
                version=1,
                venue=row["venue"],
                symbol=row["symbol"],
                ts=row["ts"],
                end=row["end"],
                about=f"{row['since'].isoformat()} {row['state']}",
                severity=1,
                score=row["confidence"],
                threshold=AGREED,
                label=f"{row['symbol']}: posture {row['state']} for {minutes} minutes, p_up {row['p_up']:.2f}"
                if row["p_up"] is not None
                else f"{row['symbol']}: posture {row['state']} for {minutes} minutes",
                figures={"state": row["state"], "since": row["since"].isoformat(), "p_up": row["p_up"], "minutes": minutes},
            )
        )
    return found


CLOSES: Final = Reads("bars", ("symbol", "bar", "close"), dt.timedelta(hours=2), (("bar", "1m"),))
MINUTE_US: Final = 60_000_000
LONG, SHORT = 60, 15
"""Minutes of the move, and of the one against it that follows."""
MOVED, TURNED = 1.5, 2.0
"""Least size of each, in standard deviations of so many minutes."""
REARM: Final = 0.5
COOLDOWN: Final = dt.timedelta(minutes=30)


def reversal(frames: Frames, _: Settings, at: dt.datetime) -> list[Finding]:
    """A move of 60 minutes, and one against it in the 15 after: at least 1.5 and 2 standard deviations of such spans.

    The deviation of a minute is the root mean square of the returns of the 60 minutes; of N minutes, the root of N times
    it. A minute without trades counts as one at the same price.
    """
    found = []
    for venue, symbol, mine in instruments(frames["bars"]):
        ends, closes = grid(mine)
        score, longer, shorter = turns(np.log(closes))
        today = int(np.searchsorted(ends, int(midnight(at).timestamp() * 1_000_000), side="right"))
        times = [dt.datetime.fromtimestamp(us / 1_000_000, dt.UTC) for us in ends[today:].tolist()]
        for k in begins(score[today:].tolist(), times, 1.0, REARM, COOLDOWN):
            i, end = today + k, times[k]
            found.append(
                Finding(
                    agent="reversal",
                    version=1,
                    venue=venue,
                    symbol=symbol,
                    ts=end - dt.timedelta(minutes=SHORT),
                    end=end,
                    about=end.isoformat(),
                    severity=severity(score[i], 1.0),
                    score=float(score[i]),
                    threshold=1.0,
                    label=f"{symbol}: {_bps(longer[i])} in {LONG} minutes, then {_bps(shorter[i])} in {SHORT}",
                    figures={"return_60m_bps": 1e4 * float(longer[i]), "return_15m_bps": 1e4 * float(shorter[i])},
                )
            )
    return found


def grid(bars: pl.DataFrame) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Floats]:
    """Return the ends of the minutes from the first bar to the last (us), and the close known at each."""
    ends = bars["end"].dt.epoch("us").to_numpy()
    every = np.arange(ends[0], ends[-1] + 1, MINUTE_US)
    return every, bars["close"].to_numpy()[np.searchsorted(ends, every, side="right") - 1]


def turns(log: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the score of each minute, and the returns of the longer and of the shorter span; NaN while they are not known.

    The score is the lesser of both moves, each in multiples of what it must reach; 0 where they go the same way.
    """
    score, longer, shorter = (np.full(len(log), np.nan) for _ in range(3))
    if len(log) <= LONG + SHORT:
        return score, longer, shorter
    squares = np.concatenate(([0.0], np.cumsum(np.diff(log) ** 2)))
    now, turn, begin = log[LONG + SHORT :], log[LONG:-SHORT], log[: -LONG - SHORT]
    longer[LONG + SHORT :], shorter[LONG + SHORT :] = turn - begin, now - turn
    minute = np.sqrt((squares[LONG:-SHORT] - squares[: -LONG - SHORT]) / LONG)
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = abs(turn - begin) / (MOVED * minute * np.sqrt(LONG)), abs(now - turn) / (TURNED * minute * np.sqrt(SHORT))
    lesser = np.where((turn - begin) * (now - turn) < 0, np.minimum(*sizes), 0.0)
    score[LONG + SHORT :] = np.where(minute > 0, lesser, np.nan)
    return score, longer, shorter


def _bps(value: float) -> str:
    return f"{1e4 * value:+.1f} bps"
