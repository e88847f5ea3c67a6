"""The tables that keep account: instruments, what else can change a result, refused input, progress, seals."""

from __future__ import annotations

import pyarrow as pa

from pipelines.schema import BOOLEAN, FLOAT, INTEGER, SYMBOL, TEXT, TIME, VENUE, Column, Table, end, ts

INSTRUMENTS = Table(
    "instruments",
    "Instruments as the venue described them, each time that changed.",
    ("venue", "symbol", "ts"),
    ("symbol", "ts"),
    (
        VENUE,
        SYMBOL,
        ts("journal time at which it was learnt"),
        end("equal to `ts`"),
        Column("native", TEXT, "the venue's own name", ("instruments",)),
        Column("base", TEXT, "base asset", ("instruments",)),
        Column("quote", TEXT, "quote asset", ("instruments",)),
        Column("tick", FLOAT, "smallest step of price; null where unknown", ("instruments",)),
        Column("lot", FLOAT, "smallest step of size; null where unknown", ("instruments",)),
        Column("status", TEXT, "the venue's word for its state", ("instruments",)),
        Column(
            "contract", FLOAT, "value of a contract: base, or quote if inverse; null where sizes are in base", ("instruments",)
        ),
        Column("inverse", BOOLEAN, "a contract is worth a fixed amount of quote currency", ("instruments",)),
    ),
)

INPUTS = Table(
    "inputs",
    "Everything but the tape that can change a result: settings, reference volumes, seeds. Kept for ever.",
    ("venue", "kind", "hash", "ts"),
    ("kind", "ts"),
    (
        Column("venue", TEXT, "the venue it concerns, or `all`; a partition column", ()),
        Column("kind", TEXT, "settings, rules, reference, seed, source, or vpin_full: V too small for a date", ("settings",)),
        Column("hash", TEXT, "first 16 hex digits of the SHA-256 of `value`", ("settings",)),
        ts("journal time from which it holds"),
        end("equal to `ts`"),
        Column("value", TEXT, "JSON", ("settings",)),
    ),
)

QUARANTINE = Table(
    "quarantine",
    "Input that was refused, with the reason and the frame as received (cut at 4,096 characters).",
    ("venue", "segment", "offset", "part"),
    ("ts",),
    (
        VENUE,
        Column("symbol", TEXT, "as far as known; else null", ()),
        ts("journal time of receipt"),
        end("equal to `ts`"),
        Column("reason", TEXT, "what was wrong, in one line"),
        Column("frame", TEXT, "the frame; bytes that are not UTF-8 are replaced"),
        Column("segment", TEXT, "journal segment, or the source file"),
        Column("offset", INTEGER, "byte offset in it, or the line"),
        Column("part", pa.int32(), "which row of a frame that holds several"),
    ),
)

COVERAGE = Table(
    "coverage",
    "How far the flow has come: one row a venue and minute of journal time, trades or none.",
    ("venue", "shard", "ts"),
    ("shard", "ts"),
    (
        VENUE,
        Column("shard", TEXT, "which recorder and flow", ()),
        ts("journal time, start of the minute"),
        end("the venue's time reached: journal time less the venue's clock offset"),
        Column("offset_us", INTEGER, "the venue's clock offset (receive time less venue time), microseconds"),
        Column("segment", TEXT, "journal segment reached"),
        Column("position", INTEGER, "byte offset in it"),
        Column("trades", INTEGER, "trades stored since the flow's state began"),
    ),
)

SEALS = Table(
    "seals",
    "Dates that are finished: their rows are final unless a newer seal says otherwise. Newest row per key by `as_of`.",
    ("venue", "symbol", "ts"),
    ("symbol", "ts"),
    (
        VENUE,
        SYMBOL,
        ts("start of the date sealed"),
        end("end of the date sealed"),
        Column("source", TEXT, "where its trades came from"),
        Column("trades", INTEGER, "counted trades"),
        Column("volume", FLOAT, "units of base"),
        Column("notional", FLOAT, "quote currency"),
        Column("as_of", TIME, "event time up to which it was known, or the time at which it was sealed"),
        Column("kind", TEXT, "`whole`: a bounded tape held all of the date; `sealed`: its rows were made anew and compared"),
        Column("whole", BOOLEAN, "the tape holds the date from its beginning to its end: its volume counts for later dates"),
        Column("tape_digest", TEXT, "of what the trades were made from; null of a bounded tape"),
        Column("rows_digest", TEXT, "of the sealed rows that later dates read; null of a bounded tape"),
        Column("earlier_digest", TEXT, "of what was read of earlier dates; null of a bounded tape"),
        Column("settings_hash", TEXT, "of the settings, rules and recorded volumes; null of a bounded tape"),
        Column("engine", INTEGER, "version of the computation; null of a bounded tape"),
        Column("details", TEXT, "JSON: differences from live rows by table and reason, and the checks; null of a bounded tape"),
    ),
    newest=True,
)

ACCOUNT_TABLES = (INSTRUMENTS, INPUTS, QUARANTINE, COVERAGE, SEALS)
