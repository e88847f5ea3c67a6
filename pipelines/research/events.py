"""Events in bars, and when they would have been seen."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.research.rules import MINUTE_US, Minutes, Rule

SILENCE_US = 10 * MINUTE_US
"""Minutes without a bar up to this long are minutes without a trade, and the price stays; longer, nobody watched."""
INSTRUMENT = ["venue", "symbol"]


def watched(rule: Rule, bars: pl.DataFrame) -> pl.DataFrame:
    """Return when an event of each instrument would have been seen: `venue`, `symbol`, `start`, `end`, in order.

    `bars` are rows of table `bars`; those of one minute count. What is watched ends where bars are missing for longer
    than `SILENCE_US`, or beside a bar marked `gap`, and begins when the rule has warmed up.
    """
    spells = _spells(bars).group_by(*INSTRUMENT, "spell", maintain_order=True)
    warm = pl.col("ts").min() + pl.duration(microseconds=rule.warm_up_us)
    return spells.agg(start=warm, end=pl.col("end").max()).drop("spell").filter(pl.col("start") < pl.col("end"))


def find(rule: Rule, bars: pl.DataFrame) -> pl.DataFrame:
    """Return the events in `bars` (as for `watched`): `venue`, `symbol`, `start`, `end`, in order."""
    rows = [
        (*instrument, start, end)
        for instrument, part in _spells(bars).group_by(INSTRUMENT, maintain_order=True)
        for start, end in rule.find([_minutes(spell) for spell in part.partition_by("spell", maintain_order=True)])
    ]
    time = pl.Datetime("us", "UTC")
    frame = pl.DataFrame(rows, {"venue": pl.String, "symbol": pl.String, "start": pl.Int64, "end": pl.Int64}, orient="row")
    return frame.with_columns(pl.col("start", "end").cast(time))


def _spells(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the minutes in order, numbered by the spell of watching they belong to; of two bars of a minute the later row."""
    minutes = bars.select(*INSTRUMENT, "ts", "end", "close", "quality").filter(
        pl.col("end") - pl.col("ts") == pl.duration(microseconds=MINUTE_US), pl.col("close").is_not_null()
    )
    minutes = minutes.sort(*INSTRUMENT, "ts", maintain_order=True).filter(_changes(*INSTRUMENT, "ts", by=-1))
    missing = (pl.col("ts") - pl.col("end").shift(1)).dt.total_microseconds()
    hole = (pl.col("quality") == "gap") | (pl.col("quality").shift(1) == "gap")
    begins = _changes(*INSTRUMENT, by=1) | (missing > SILENCE_US) | ((missing > 0) & hole)
    return minutes.with_columns(spell=begins.fill_null(value=False).cum_sum())


def _changes(*columns: str, by: int) -> pl.Expr:
    """Whether a column differs from that of `by` rows before."""
    return pl.any_horizontal(pl.col(column).ne_missing(pl.col(column).shift(by)) for column in columns)


def _minutes(spell: pl.DataFrame) -> Minutes:
    known = spell["end"].dt.epoch("us").to_numpy()
    ends = np.arange(known[0], known[-1] + 1, MINUTE_US)
    return Minutes(ends, spell["close"].to_numpy()[np.searchsorted(known, ends, "right") - 1])
