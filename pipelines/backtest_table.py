"""The table of backtests."""

from __future__ import annotations

from pipelines.schema import FLOAT, INTEGER, SYMBOL, TEXT, VENUE, Column, Table, end, ts

_TRADES = ("trades",)

BACKTESTS = Table(
    "backtests",
    "What VPIN, plain benchmarks and detectors were worth as alarms of falls, every cell of the grid"
    " ([definitions](backtest.md)). A row a figure.",
    ("run", "symbol", "period", "measure", "v", "n", "start", "metric"),
    ("symbol", "measure", "metric", "v", "n", "start"),
    (
        VENUE,
        SYMBOL,
        Column("run", TEXT, "hash of all figures that were made together", _TRADES),
        Column("period", TEXT, "`calm`: dates of the control without an event; `span`: those asked about", ()),
        Column("measure", TEXT, "`vpin`, a benchmark (`rv_1h volume_1h trades_1h imbalance_1h`), a detector, `events`", ()),
        Column("v", INTEGER, "V = average daily volume / this; 0: not of VPIN", ()),
        Column("n", INTEGER, "buckets a window; 0: not of VPIN", ()),
        Column("start", INTEGER, "which start: 0 is that of table `vpin`, the others are random", ()),
        Column("first", FLOAT, "each date's first bucket as a share of V; null: not of VPIN", ()),
        ts("start of the dates of the period", ()),
        end("end of the dates of the period", ()),
        Column(
            "metric",
            TEXT,
            "`slope slope_t r2_added r2`: what VPIN adds to the benchmarks; `false_per_day precision base_rate recall lead_s`: as"
            " in `scores`; `led_alone`: events that no benchmark led; `days`, `events`",
            (),
        ),
        Column("value", FLOAT, "the figure; null where there is none, and `why` says why", _TRADES),
        Column("low", FLOAT, "low end of its 95 % interval, by block bootstrap over days", _TRADES),
        Column("high", FLOAT, "high end of the same", _TRADES),
        Column("count", INTEGER, "what it was counted on: alarms, events or hours", _TRADES),
        Column("why", TEXT, "why the figure or its interval is null", _TRADES),
        Column("protocol", TEXT, "hash of everything that could be tuned", ()),
        Column("generated", TEXT, "how the trades were made up; null: they are a market's", ()),
    ),
)
