"""A watcher across venues: `cross_venue`."""

from __future__ import annotations

import bisect
import datetime as dt
from typing import TYPE_CHECKING, Final

import polars as pl

from pipelines.alerts import severity
from pipelines.briefs.agents.finding import Finding
from pipelines.briefs.agents.reading import Frames, Reads, instruments, midnight
from pipelines.briefs.agents.spells import begins

if TYPE_CHECKING:
    from pipelines.settings import Settings

CLOSES: Final = Reads("bars", ("symbol", "bar", "close"), dt.timedelta(days=1), (("bar", "1m"),))
DOLLARS: Final = ("USD", "USDT", "USDC")
APART_BPS, REARM_BPS = 15.0, 7.5
LEAST: Final = 60
"""Minutes known before, whose median is what is usual."""
HELD: Final = 2
"""Minutes in a row."""
COOLDOWN: Final = dt.timedelta(minutes=30)


def cross_venue(frames: Frames, _: Settings, at: dt.datetime) -> list[Finding]:
    """An asset's price on a venue apart from the others by 15 bps more than it usually is, for two minutes in a row.

    d = ln(close) - ln(median of the others' closes), by minutes in which at least two instruments of the asset traded, all
    quoted in dollars or coins that stand for them, contracts included; usual is the median of d over the minutes known
    before, since the date before began. Told of the one that is furthest from what is usual. Not the detector `dislocation`,
    which looks at single seconds of one symbol.
    """
    found = []
    furthest = (pl.int_range(pl.len()) == pl.col("apart").arg_max()).over("base", "end")
    rows = _apart(_gaps(frames["bars"])).with_columns(score=pl.when(furthest).then("apart"))
    for venue, symbol, mine in instruments(rows):
        score, usual = mine["score"].to_list(), mine["usual"].to_list()
        today = mine["end"].search_sorted(midnight(at), side="right")
        times = mine["end"].to_list()
        for k in begins(score[today:], times[today:], APART_BPS, REARM_BPS, COOLDOWN):
            i, row = today + k, mine.row(today + k, named=True)
            found.append(
                Finding(
                    agent="cross_venue",
                    version=1,
                    venue=venue,
                    symbol=symbol,
                    ts=row["ts"],
                    end=row["end"],
                    about=row["end"].isoformat(),
                    severity=severity(score[i], APART_BPS),
                    score=score[i],
                    threshold=APART_BPS,
                    label=f"{symbol} at {venue}: {row['gap']:+.1f} bps from {row['others']} others, usually {usual[i]:+.1f}",
                    figures={"gap_bps": row["gap"], "usual_bps": usual[i], "others": row["others"]},
                )
            )
    return found


def _gaps(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of minutes in which an asset traded at several instruments, each with its gap in bps."""
    parts = pl.col("symbol").str.split("-")
    dollars = bars.with_columns(base=parts.list.get(0), quote=parts.list.get(1, null_on_oob=True)).filter(
        pl.col("quote").is_in(DOLLARS), pl.col("close") > 0
    )
    minute = dollars.group_by("base", "end").agg(closes=pl.col("close").sort(), count=pl.len()).filter(pl.col("count") > 1)
    rows = dollars.join(minute, on=["base", "end"]).sort("venue", "symbol", "end")
    others = [_median_without(closes, close) for closes, close in rows.select("closes", "close").iter_rows()]
    return rows.with_columns(middle=pl.Series(others, dtype=pl.Float64), others=pl.col("count") - 1).with_columns(
        gap=1e4 * (pl.col("close").log() - pl.col("middle").log())
    )


def _median_without(closes: list[float], mine: float) -> float:
    rest = closes.copy()
    rest.remove(mine)
    return _middle(rest)


def _apart(rows: pl.DataFrame) -> pl.DataFrame:
    """Add by how much each gap differs from what is usual there, and what that is."""
    told = [_odd(mine["gap"].to_list()) for _, _, mine in instruments(rows)]
    apart, usual = ([value for one in told for value in one[k]] for k in (0, 1))
    return rows.with_columns(apart=pl.Series(apart, dtype=pl.Float64), usual=pl.Series(usual, dtype=pl.Float64))


def _odd(gaps: list[float]) -> tuple[list[float | None], list[float]]:
    """Return by how much each gap differs from the median of those before, the least of `HELD` in a row; and the median."""
    usual = [0.0] * len(gaps)
    apart: list[float | None] = [None] * len(gaps)
    before: list[float] = []
    for i, gap in enumerate(gaps):
        if len(before) >= LEAST:
            usual[i] = _middle(before)
            apart[i] = abs(gap - usual[i])
        bisect.insort(before, gap)
    held = [apart[max(0, i - HELD + 1) : i + 1] for i in range(len(gaps))]
    score = [None if len(of) < HELD or None in of else min(value for value in of if value is not None) for of in held]
    return score, usual


def _middle(ranked: list[float]) -> float:
    middle = len(ranked) // 2
    return ranked[middle] if len(ranked) % 2 else (ranked[middle - 1] + ranked[middle]) / 2
