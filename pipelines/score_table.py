"""The table of scores."""

from __future__ import annotations

import pyarrow as pa

from pipelines.schema import FLOAT, INTEGER, SYMBOL, TEXT, TIME, VENUE, Column, Table, end, ts

_BARS = ("trades",)


def _estimate(name: str, doc: str) -> tuple[Column, ...]:
    return (
        Column(name, FLOAT, doc, _BARS),
        Column(f"{name}_low", FLOAT, "low end of its 95 % interval, by block bootstrap over days", _BARS),
        Column(f"{name}_high", FLOAT, "high end of the same", _BARS),
    )


SCORES = Table(
    "scores",
    "What alerts were worth: those of a detector, held against events made from prices by a fixed rule"
    " ([definitions](scoring.md)). Newest row per key by `as_of`.",
    ("venue", "symbol", "detector", "version", "origin", "event", "horizon_s", "cooldown_s", "ts", "end"),
    ("symbol", "detector", "ts", "as_of"),
    (
        VENUE,
        SYMBOL,
        Column("detector", TEXT, "whose alerts", ()),
        Column("version", INTEGER, "version of the detector's definition", ()),
        Column("origin", TEXT, "live or history", ()),
        Column("event", TEXT, "the rule, like `move:1%/10m`", ()),
        Column("horizon_s", INTEGER, "how long before an event an alert may come, seconds", ()),
        Column("cooldown_s", INTEGER, "alerts this soon after one that counts are merged into it, seconds", ()),
        ts("start of what was watched", _BARS),
        end("end of what was watched", _BARS),
        Column("as_of", TIME, "when it was scored", ()),
        Column("days", FLOAT, "time watched in which an alert can be judged, days of 24 hours", _BARS),
        Column("alerts", INTEGER, "alerts judged, after merging", _BARS),
        Column("unjudged", INTEGER, "alerts beside them: nobody watched, or not for a horizon more", _BARS),
        Column("hits", INTEGER, "alerts followed by an event", _BARS),
        Column("during", INTEGER, "alerts that were not, and came during an event", _BARS),
        *_estimate("precision", "hits / alerts"),
        Column("base_rate", FLOAT, "precision of random alerts at the same second of the minute: exact, not drawn", _BARS),
        Column("events", INTEGER, "events whose whole horizon was watched", _BARS),
        Column("foretold", INTEGER, "events that followed an alert", _BARS),
        *_estimate("recall", "foretold / events"),
        *_estimate("lead_s", "median time from the first alert within the horizon to the event's end, seconds"),
        *_estimate("false_per_day", "(alerts - hits) / days"),
        Column("why", pa.list_(TEXT), "for each figure or interval that is null, `figure: reason`", _BARS),
    ),
    newest=True,
)
