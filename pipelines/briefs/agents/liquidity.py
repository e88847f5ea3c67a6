"""Watchers of what trading costs, and of forced orders: `liquidity` and `liquidations`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipelines.alerts import severity
from pipelines.briefs.agents.finding import Finding
from pipelines.briefs.agents.reading import Frames, Reads, instruments, midnight
from pipelines.briefs.agents.spells import Floats, begins, percentiles

if TYPE_CHECKING:
    from pipelines.settings import Settings

MEASURES: Final = ("spread_bps", "amihud_1h", "kyle_lambda_1h")
COSTS: Final = Reads("features", ("symbol", *MEASURES))
REACH_US: Final = 86_400_000_000
LEAST: Final = 120
"""Known values of the day before that a percentile needs."""
DEAR, REARM = 0.98, 0.9
"""Percentile that two measures must reach; both must fall below the other before it is told again."""
COOLDOWN: Final = dt.timedelta(minutes=60)


def liquidity(frames: Frames, _: Settings, at: dt.datetime) -> list[Finding]:
    """Trading dear by two measures at once: spread, Amihud's and Kyle's, each by its percentile in the 24 hours before.

    The score is the second highest percentile of those that are known, held against 98 %.
    """
    found = []
    for venue, symbol, mine in instruments(frames["features"]):
        ends = mine["end"].dt.epoch("us").to_numpy()
        first = int(np.searchsorted(ends, int(midnight(at).timestamp() * 1_000_000), side="right"))
        known = {name: percentiles(mine[name].cast(pl.Float64).to_numpy(), ends, first, REACH_US, LEAST) for name in MEASURES}
        score, times = second(np.array([*known.values()])), mine["end"].to_list()[first:]
        for i in begins(score.tolist(), times, DEAR, REARM, COOLDOWN):
            high = {name: float(of[i]) for name, of in known.items() if of[i] >= score[i]}
            found.append(
                Finding(
                    agent="liquidity",
                    version=1,
                    venue=venue,
                    symbol=symbol,
                    ts=mine["ts"][first + i],
                    end=times[i],
                    about=times[i].isoformat(),
                    severity=2 if score[i] >= 1 else 1,
                    score=float(score[i]),
                    threshold=DEAR,
                    label=f"{symbol}: trading costs more than usual by {' and '.join(sorted(_NAMES[n] for n in high))}",
                    figures={f"{name}_pct": value for name, value in high.items()}
                    | {name: mine[name][first + i] for name in MEASURES},
                )
            )
    return found


_NAMES: Final = {"spread_bps": "spread", "amihud_1h": "Amihud's measure", "kyle_lambda_1h": "Kyle's lambda"}


def second(known: Floats) -> Floats:
    """Return the second highest of each column; NaN where fewer than two are known."""
    ranked = np.sort(np.where(np.isnan(known), -np.inf, known), axis=0)
    return np.where(np.isinf(ranked[-2]), np.nan, ranked[-2])


FORCED: Final = Reads("liquidations", ("symbol", "side", "notional", "sampled"))
STEP_US: Final = 300_000_000
STEPS: Final = 3
"""Of 5 minutes in a window."""
FLOOR: Final = 250_000.0
"""Quote currency (USD) of a window that is worth telling at all."""
FORCED_REARM: Final = 0.5


def liquidations(frames: Frames, _: Settings, at: dt.datetime) -> list[Finding]:
    """More liquidated in 15 minutes than in any 15 of the 24 hours before, and at least 250,000 of quote currency.

    Windows end at whole 5 minutes that are over. Not the detector `liquidation_spike`, which looks at single minutes. Where a
    venue shows only some liquidations, both sides of the comparison are too low.
    """
    found = []
    start, now = (int(t.timestamp() * 1_000_000) for t in (midnight(at), at))
    steps = np.arange(start - REACH_US, now // STEP_US * STEP_US + 1, STEP_US)
    for venue, symbol, mine in instruments(frames["liquidations"]):
        where = np.searchsorted(steps, mine["end"].dt.epoch("us").to_numpy(), side="left")
        inside = (where > 0) & (where < len(steps))
        sums, sold = (np.zeros(len(steps)) for _ in range(2))
        notional = mine["notional"].cast(pl.Float64).fill_null(0.0).to_numpy()
        np.add.at(sums, where[inside], notional[inside])
        np.add.at(sold, where[inside], np.where(mine["side"].to_numpy() < 0, notional, 0.0)[inside])
        totals, forced_sales = (np.convolve(of, np.ones(STEPS))[: len(of)] for of in (sums, sold))
        first = REACH_US // STEP_US + 1
        most = [max(FLOOR, totals[max(0, i - first + 1) : i - STEPS + 1].max(initial=0.0)) for i in range(first, len(steps))]
        times = [dt.datetime.fromtimestamp(us / 1_000_000, dt.UTC) for us in steps[first:].tolist()]
        score = totals[first:] / np.array(most) if most else np.zeros(0)
        for k in begins(score.tolist(), times, 1.0, FORCED_REARM, COOLDOWN):
            i, share = first + k, forced_sales[first + k] / totals[first + k]
            total = f"{totals[i]:,.0f} {symbol.partition('-')[2].partition('-')[0]}".rstrip()
            told = " that the venue shows" if mine["sampled"].any() else ""
            found.append(
                Finding(
                    agent="liquidations",
                    version=1,
                    venue=venue,
                    symbol=symbol,
                    ts=times[k] - STEPS * dt.timedelta(microseconds=STEP_US),
                    end=times[k],
                    about=times[k].isoformat(),
                    severity=severity(score[k], 1.0),
                    score=float(score[k]),
                    threshold=1.0,
                    label=f"{symbol}: {total} liquidated in 15 minutes{told}, {100 * share:.0f} % of it forced sales",
                    figures={"notional": float(totals[i]), "forced_sales": float(share), "most_before": float(most[k])},
                )
            )
    return found
