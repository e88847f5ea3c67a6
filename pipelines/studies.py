"""Research over a lake: which rows a study reads, and how its rows are kept."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from typing import TYPE_CHECKING, Final

import polars as pl

from pipelines.market import TABLES
from pipelines.research import events, pairs, scores
from pipelines.research.learned import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from pipelines.research.rules import Rule
    from pipelines.research.scores import Scored
    from pipelines.store.lake import Lake
    from pipelines.store.names import Time

MOST: Final = 8
"""Symbols of a venue that are paired by themselves: 28 pairs. The more are tried, the less a small p means."""


def paired(lake: Lake, interval: str, window: int, start: dt.datetime, end: dt.datetime) -> list[pl.DataFrame]:
    """Measure the pairs of each venue's busiest symbols over a span; a frame as `pairs.pair_table` gives it per venue.

    A venue with fewer than two symbols that traded has none.
    """
    frame = lake.table("bars", start=start, end=end, bar=interval)
    bars = frame.select("venue", "symbol", "end", "close", "volume", "trades").collect()
    return [
        pairs.pair_table(chosen, str(venue), interval, window)
        for (venue,), mine in sorted(bars.partition_by("venue", as_dict=True).items())
        if len(chosen := busiest(mine)) > 1
    ]


def busiest(bars: pl.DataFrame, most: int = MOST) -> dict[str, pl.DataFrame]:
    """Return the bars of the `most` symbols with the most trades, by symbol in the order of the alphabet.

    Trades are counted, not money: symbols of a venue are quoted in several currencies. In the order of the alphabet each
    pair keeps its direction when another symbol is the busiest.
    """
    counts = bars.group_by("symbol").agg(pl.col("trades").sum()).filter(pl.col("trades") > 0)
    chosen = counts.sort("trades", "symbol", descending=[True, False])["symbol"].head(most).sort().to_list()
    return {symbol: bars.filter(pl.col("symbol") == symbol) for symbol in chosen}


def keep_pairs(lake: Lake, found: pl.DataFrame) -> int:
    """Put the rows of one run into the lake, once however often it is made; return how many have anything to keep."""
    kept: pa.Table = found.filter(pl.col("ts").is_not_null()).to_arrow().cast(TABLES["pairs"].lake_schema)
    if kept.num_rows:
        lake.create()
        name = f"pairs.{found['run'][0]}"
        if lake.version("pairs", name) is None:
            lake.commit("pairs", name, 0, lake.stage("pairs", kept, name, {"source": "pairs"}))
    return int(kept.num_rows)


def scored(
    lake: Lake, alerts: pl.DataFrame, rule: Rule, horizon_us: int, cooldown_us: int, during: tuple[Time, Time]
) -> list[Scored]:
    """Score alerts instrument by instrument: no more than one's bars are in memory."""
    every = lake.table("bars", start=during[0], end=during[1], bar="1m").select(
        "venue", "symbol", "ts", "end", "close", "quality"
    )

    def of(instrument: Mapping[str, str], mine: pl.DataFrame) -> list[Scored]:
        bars = every.filter(**instrument).collect()
        return scores.by_detector(mine, events.find(rule, bars), events.watched(rule, bars), horizon_us, cooldown_us)

    parts = sorted(alerts.partition_by("venue", "symbol", as_dict=True).items())
    return list(itertools.chain.from_iterable(of({"venue": v, "symbol": s}, mine) for (v, s), mine in parts))


def keep_scores(lake: Lake, rows: pa.Table) -> None:
    """Add the rows in one commit: what the flow writes meanwhile, to other tables, is not touched."""
    lake.create()
    lake.replace("scores", [], lake.stage("scores", rows, f"score-{time.time_ns()}", {}))


def minutes(
    lake: Lake, *, symbol: str | None = None, venue: str | None = None, start: Time = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of tables `features` and `bars` that a model is learned from and judged on."""
    row = ("venue", "symbol", "ts", "end")
    features = lake.table("features", symbol=symbol, venue=venue, start=start).select(*row, *COLUMNS)
    bars = lake.table("bars", symbol=symbol, venue=venue, start=start, bar="1m").select(*row, "close", "quality")
    return features.collect(), bars.collect()


def until(frame: pl.DataFrame, last: dt.date) -> pl.DataFrame:
    """Return the rows up to a UTC date, its own included."""
    return frame.filter(pl.col("ts").dt.date() <= last)
