"""The tables of what venues send besides trades, and of news."""

from __future__ import annotations

import pyarrow as pa

from pipelines.schema import BOOLEAN, FLOAT, INTEGER, SYMBOL, TEXT, TIME, VENUE, Column, Table, end, ts

_QUOTES = ("quotes",)
_BOOK = ("book",)
_LIQUIDATIONS = ("liquidations",)
_FUNDING = ("funding",)
_NEWS = ("news",)

QUOTES = Table(
    "quotes",
    "Best bid and ask, each time the venue sent them; in order of receipt (`seq`).",
    ("venue", "symbol", "ts", "seq"),
    ("symbol", "ts", "seq"),
    (
        VENUE,
        SYMBOL,
        ts("match time at the venue; receipt less the venue's clock offset where it sends none", _QUOTES),
        end("equal to `ts`", _QUOTES),
        Column("seq", INTEGER, "order of receipt, rising per instrument and date", _QUOTES),
        Column("recv_ts", TIME, "when the recorder received it; null where the source has none", _QUOTES),
        Column("update_id", INTEGER, "the venue's number of the update; null where it sends none", _QUOTES),
        Column("bid", FLOAT, "quote currency per unit of base; null: no order on that side", _QUOTES),
        Column("bid_size", FLOAT, "units of base", _QUOTES),
        Column("ask", FLOAT, "quote currency per unit of base; null: no order on that side", _QUOTES),
        Column("ask_size", FLOAT, "units of base", _QUOTES),
    ),
)

BOOK = Table(
    "book",
    "The 20 best levels of each side at a set interval, from a book built and verified by the venue's own rules.",
    ("venue", "symbol", "ts"),
    ("symbol", "ts"),
    (
        VENUE,
        SYMBOL,
        ts("the moment shown: a multiple of the interval, in the venue's time", _BOOK),
        end("equal to `ts`", _BOOK),
        Column("update_id", INTEGER, "last update in it, as the venue numbers them; null where it does not", _BOOK),
        Column("age_us", INTEGER, "`ts` less the venue's time of that update, microseconds; null where it sends none", _BOOK),
        Column("bids", pa.list_(FLOAT), "prices, best first, quote currency per unit of base", _BOOK),
        Column("bid_sizes", pa.list_(FLOAT), "units of base", _BOOK),
        Column("asks", pa.list_(FLOAT), "prices, best first, quote currency per unit of base", _BOOK),
        Column("ask_sizes", pa.list_(FLOAT), "units of base", _BOOK),
        Column("connection", pa.int32(), "which socket's book it is", _BOOK),
        Column("resyncs", INTEGER, "how often the book was built anew since the flow's state began", _BOOK),
    ),
)

LIQUIDATIONS = Table(
    "liquidations",
    "Forced orders. Where `sampled` is true the venue shows only some: sums are too low.",
    ("venue", "symbol", "ts", "seq"),
    ("symbol", "ts", "seq"),
    (
        VENUE,
        SYMBOL,
        ts("the venue's time of the order", _LIQUIDATIONS),
        end("equal to `ts`", _LIQUIDATIONS),
        Column("seq", INTEGER, "order of receipt, rising per instrument and date", _LIQUIDATIONS),
        Column("recv_ts", TIME, "when the recorder received it; null where the source has none", _LIQUIDATIONS),
        Column("side", pa.int8(), "of the forced order: -1 sells (a long was liquidated), +1 buys (a short was)", _LIQUIDATIONS),
        Column(
            "price",
            FLOAT,
            "quote currency per unit of base: average fill or bankruptcy price, as sent",
            _LIQUIDATIONS,
        ),
        Column("size", FLOAT, "units of base", _LIQUIDATIONS),
        Column("contracts", FLOAT, "the venue's own number, where it counts in contracts; else null", _LIQUIDATIONS),
        Column("notional", FLOAT, "price x size, quote currency", _LIQUIDATIONS),
        Column("sampled", BOOLEAN, "the venue shows only some liquidations", _LIQUIDATIONS),
    ),
)

FUNDING = Table(
    "funding",
    "Funding, mark and index price, open interest of perpetual contracts; null where a message does not say.",
    ("venue", "symbol", "ts", "seq"),
    ("symbol", "ts", "seq"),
    (
        VENUE,
        SYMBOL,
        ts("the venue's time of the message", _FUNDING),
        end("equal to `ts`", _FUNDING),
        Column("seq", INTEGER, "order of receipt, rising per instrument and date", _FUNDING),
        Column("rate", FLOAT, "funding rate of the running interval, a fraction", _FUNDING),
        Column("next_ts", TIME, "when funding is paid next", _FUNDING),
        Column("mark_price", FLOAT, "mark price, quote currency per unit of base", _FUNDING),
        Column("index_price", FLOAT, "index price, quote currency per unit of base", _FUNDING),
        Column("open_interest", FLOAT, "units of base", _FUNDING),
    ),
)

NEWS = Table(
    "news",
    "Headlines as first seen. For studies use `first_seen`, never `published`: publishers date back.",
    ("venue", "news_id", "ts"),
    ("ts", "news_id"),
    (
        Column("venue", TEXT, "the feed's name in the settings, as `news-coindesk`; a partition column", ()),
        Column("news_id", TEXT, "hash of feed and the item's own id, or of its link without tracking parameters", _NEWS),
        ts("equal to `first_seen`", _NEWS),
        end("equal to `ts`", _NEWS),
        Column("first_seen", TIME, "journal time at which this text was first received", _NEWS),
        Column("published", TIME, "as the publisher says; null where missing or unreadable", _NEWS),
        Column("title", TEXT, "plain text", _NEWS),
        Column("summary", TEXT, "plain text, cut at 1,000 characters; null where there is none", _NEWS),
        Column("url", TEXT, "link without tracking parameters; null where there is none", _NEWS),
        Column("source", TEXT, "publisher, where the feed gathers several; else the feed's name", _NEWS),
        Column("symbols", pa.list_(TEXT), "base assets that are mentioned, like BTC", _NEWS),
        Column("edited", BOOLEAN, "the item was seen before with another title", _NEWS),
    ),
    every_epoch=True,
)

FEED_TABLES = (QUOTES, BOOK, LIQUIDATIONS, FUNDING, NEWS)
