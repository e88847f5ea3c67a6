"""The tables of briefs: the briefs, the facts they rest on, and what would refute them."""

from __future__ import annotations

from pipelines.schema import BOOLEAN, FLOAT, INTEGER, SYMBOL, TEXT, TIME, VENUE, Column, Table, end, ts

_LAKE = ("lake",)

BRIEFS = Table(
    "briefs",
    "Briefs as they were written, from rows with `end` <= `ts` alone. Same facts, same bytes.",
    ("brief",),
    ("ts", "brief"),
    (
        Column("venue", TEXT, "the instrument's venue; `all`: of a whole watchlist; a partition column", ()),
        Column("symbol", TEXT, "the instrument; `all`: a whole watchlist", ()),
        Column("brief", TEXT, "hash of kind, instruments, time and facts", _LAKE),
        ts("the time it speaks of: it uses rows with `end` <= this", _LAKE),
        end("equal to `ts`", _LAKE),
        Column("kind", TEXT, "hourly, daily, elevated or asked", ()),
        Column("episode", TEXT, "the episode it was written for; null: none", _LAKE),
        Column("changed", BOOLEAN, "something changed since the brief of this kind before it", _LAKE),
        Column("head", TEXT, "the message: at most 12 lines", _LAKE),
        Column("thread", TEXT, "what goes into its thread", _LAKE),
        Column("markdown", TEXT, "all of it with the table of facts", _LAKE),
        Column("writer", TEXT, "`template`, or the model that worded it", ()),
        Column("why", TEXT, "why the template wrote it though a model was asked; null: it was not, or the model wrote", ()),
        Column("digest", TEXT, "first 16 hex digits of the SHA-256 of head and thread", _LAKE),
        Column("facts", INTEGER, "facts it rests on, in table `facts`", _LAKE),
    ),
)

FACTS = Table(
    "facts",
    "Every number of a brief: exact value, rounding, the query that gives its rows, and their hash.",
    ("brief", "fact"),
    ("brief", "symbol", "fact"),
    (
        VENUE,
        SYMBOL,
        Column("brief", TEXT, "the brief it belongs to", _LAKE),
        Column("fact", TEXT, "its id there, like `F12`", _LAKE),
        ts("as of when: its query reads rows with `end` <= this", _LAKE),
        end("equal to `ts`", _LAKE),
        Column("name", TEXT, "what was measured, like `vpin_flag`", _LAKE),
        Column("label", TEXT, "the same for a person", _LAKE),
        Column("value", FLOAT, "the exact value, if a number; null: not available", _LAKE),
        Column("text", TEXT, "the value, if a word or a time (ISO); null: not available", _LAKE),
        Column("unit", TEXT, "share, bps, price, notional, size, count, ratio, score, percentile, seconds, time or word", _LAKE),
        Column("asset", TEXT, "the currency of a price or notional, the asset of a size; else empty", _LAKE),
        Column("decimals", INTEGER, "digits behind the point in which it is shown", _LAKE),
        Column("signed", BOOLEAN, "shown with its sign: a change", _LAKE),
        Column("span", TEXT, "the time or count it covers, like `1h`", _LAKE),
        Column("n", INTEGER, "rows behind it", _LAKE),
        Column("measure", TEXT, "what makes one value of the rows: last, count, sum, max, min, share, ...", _LAKE),
        Column("query", TEXT, "SQL that gives the rows, in order", _LAKE),
        Column("rows_digest", TEXT, "first 16 hex digits of the SHA-256 of the rows", _LAKE),
        Column("sealed", BOOLEAN, "all its rows were of sealed dates", _LAKE),
    ),
)

FALSIFIERS = Table(
    "falsifiers",
    "What would refute a claim of a brief, and by when; scored when its time has come. Newest row per key by `as_of`.",
    ("brief", "falsifier"),
    ("brief", "falsifier", "as_of"),
    (
        VENUE,
        SYMBOL,
        Column("brief", TEXT, "the brief that made the claim", _LAKE),
        Column("falsifier", TEXT, "its id there, like `X1`", _LAKE),
        ts("when the claim was made", _LAKE),
        end("by when it can be judged", _LAKE),
        Column("claim", TEXT, "the kind of claim, like `vpin stays high`; the record is kept by it", _LAKE),
        Column("test", TEXT, "what refutes it, in words", _LAKE),
        Column("measure", TEXT, "what makes one value of the rows", _LAKE),
        Column("query", TEXT, "SQL that gives the rows", _LAKE),
        Column("op", TEXT, "`<` or `>`: the claim is refuted where value op level", _LAKE),
        Column("level", FLOAT, "what the value is held against", _LAKE),
        Column("value", FLOAT, "what it came to; null until judged, or not available", _LAKE),
        Column("outcome", TEXT, "open, held, refuted or unknown", _LAKE),
        Column("as_of", TIME, "when this was so", _LAKE),
    ),
    newest=True,
)

BRIEF_TABLES = (BRIEFS, FACTS, FALSIFIERS)
