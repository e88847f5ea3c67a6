"""The vocabulary: instruments, sides, flags, and the schema of every table with its units.

`docs/tables.md` is generated from this module (`python -m pipelines.market`).
"""

from __future__ import annotations

import enum
import sys
from typing import NamedTuple

import pyarrow as pa

from pipelines import bar_readings as readings
from pipelines.account_tables import ACCOUNT_TABLES
from pipelines.backtest_table import BACKTESTS
from pipelines.brief_tables import BRIEF_TABLES
from pipelines.feature_tables import FEATURES
from pipelines.feed_tables import FEED_TABLES
from pipelines.pair_table import PAIRS
from pipelines.posture_tables import POSTURE
from pipelines.schema import BOOLEAN as _B
from pipelines.schema import FLOAT as _F
from pipelines.schema import INTEGER as _I
from pipelines.schema import SYMBOL as _SYMBOL
from pipelines.schema import TEXT as _S
from pipelines.schema import TIME, Column, Table
from pipelines.schema import VENUE as _VENUE
from pipelines.schema import end as _end
from pipelines.schema import ts as _ts
from pipelines.score_table import SCORES

DAY_US = 86_400_000_000
GRACE_US = 2_000_000
"""A time bar closes this long after its end when no later trade has closed it, in microseconds."""

BAR_WIDTHS_US = {
    "1s": 1_000_000,
    "1m": 60_000_000,
    "5m": 300_000_000,
    "15m": 900_000_000,
    "1h": 3_600_000_000,
    "4h": 14_400_000_000,
    "1d": DAY_US,
}
"""Time bars and their width in microseconds; each divides the next, so each rolls up into the next."""


class Flag(enum.IntFlag):
    """What is particular about a trade; stored as a list of words in `trades.flags`."""

    OFF_BOOK = 1
    LIQUIDATION = 2
    HISTORY = 4
    REPAIRED = 8
    LATE = 16
    AFTER_GAP = 32

    def words(self) -> list[str]:
        """Return the flags as the words stored in the lake, in ascending order of value."""
        return [flag.name.lower() for flag in Flag if flag in self and flag.name]


class Instrument(NamedTuple):
    """What is traded where.

    Attributes
    ----------
    venue : str
        Like `binance-usdm`.
    symbol : str
        Normalised: `BTC-USDT`, `BTC-USDT-PERP`.
    native : str
        The venue's own name: `BTCUSDT`.
    base, quote : str
        Assets, from the venue's instruments endpoint where there is one.
    tick, lot : str
        Smallest step of price and of size as decimal text; empty where unknown.
    status : str
        The venue's word for its state, like `TRADING`.
    contract : str
        Value of one contract as decimal text, multiplier included, where the venue counts sizes in contracts: in units
        of base, or of quote if `inverse`. Empty: sizes are in units of base.
    inverse : bool
        The contract is worth a fixed amount of quote currency.
    """

    venue: str
    symbol: str
    native: str
    base: str
    quote: str
    tick: str = ""
    lot: str = ""
    status: str = ""
    contract: str = ""
    inverse: bool = False


TRADES = Table(
    "trades",
    "Every trade received, in tape order (`seq`). `counted` rows feed bars and signals.",
    ("venue", "symbol", "trade_id"),
    ("symbol", "seq"),
    (
        _VENUE,
        _SYMBOL,
        Column("trade_id", _I, "the venue's id; of an aggregated trade, the aggregate's id"),
        _ts("match time at the venue"),
        _end("equal to `ts`"),
        Column("seq", _I, "tape order, rising per instrument and date"),
        Column("recv_ts", TIME, "when the recorder received it; null where the source has none"),
        Column("price", _F, "quote currency per unit of base"),
        Column("size", _F, "units of base"),
        Column("contracts", _F, "the venue's own number, where it counts in contracts; else null"),
        Column("side", pa.int8(), "+1: the buyer was the taker; -1: the seller"),
        Column("tape", _S, "`agg` (fills of one price and side merged by the venue) or `fill`"),
        Column("first_fill", _I, "first fill id of an aggregate; null for a fill"),
        Column("last_fill", _I, "last fill id of an aggregate; null for a fill"),
        Column("fills", pa.int32(), "number of fills"),
        Column("counted", _B, "feeds bars and signals"),
        Column("flags", pa.list_(_S), "words: off_book, liquidation, history, repaired, late, after_gap"),
    ),
)

BARS = Table(
    "bars",
    "Time bars (left closed, UTC), tick, volume, dollar, imbalance and run bars. "
    "The crossing trade belongs whole to the bar it closes.",
    ("venue", "symbol", "bar", "ts", "first_id"),
    ("symbol", "bar", "ts"),
    (
        _VENUE,
        _SYMBOL,
        Column(
            "bar",
            _S,
            "`1s 1m 5m 15m 1h 4h 1d`, `tick:500`, `volume`, `dollar`, `imbalance:tick:50`, `imbalance:dollar:1000000`,"
            " `imbalance:volume:ewma:500`, `run:tick:50`, ...",
        ),
        _ts("start of the time bar; else event time of the first trade"),
        Column("first_id", _I, "trade id of the first trade"),
        _end("end of the time bar; else event time of the closing trade"),
        Column(
            "threshold",
            _F,
            "trades (tick), units of base (volume), quote currency (dollar); null for time bars",
            reading=readings.THRESHOLD,
        ),
        Column("open", _F, "first price in tape order", reading=readings.PRICE),
        Column("high", _F, "highest price", reading=readings.PRICE),
        Column("low", _F, "lowest price", reading=readings.PRICE),
        Column("close", _F, "last price in tape order", reading=readings.PRICE),
        Column("volume", _F, "units of base", reading=readings.AMOUNT),
        Column("buy_volume", _F, "units of base where the buyer was the taker", reading=readings.AMOUNT),
        Column("notional", _F, "sum of price x size, quote currency", reading=readings.AMOUNT),
        Column("vwap", _F, "notional / volume, formed once from integers", reading=readings.VWAP),
        Column("trades", _I, "rows of the tape", reading=readings.COUNT),
        Column("fills", _I, "fills, as the venue counts trades", reading=readings.COUNT),
        Column("last_id", _I, "trade id of the last trade", reading=readings.COUNT),
        Column("partial", _B, "closed short by the day anchor", reading=readings.STATE),
        Column(
            "quality", _S, "complete, repaired, gap or late; the worst that holds (gap > late > repaired)", reading=readings.STATE
        ),
        Column(
            "imbalance",
            _F,
            "bought less sold, in units of `threshold`; null but for imbalance and run bars",
            reading=readings.IMBALANCE,
        ),
    ),
)

VPIN = Table(
    "vpin",
    "Volume buckets and VPIN = sum |buy - sell| / sum V over the last n complete buckets: "
    "absolute order imbalance in volume time, not a probability.",
    ("venue", "symbol", "setting", "date", "bucket"),
    ("symbol", "setting", "ts"),
    (
        _VENUE,
        _SYMBOL,
        Column("setting", _S, "`adv50x50`: V = ADV / 50, n = 50; `v10x50`: V = 10 units of base, n = 50"),
        Column("bucket", _I, "number of the bucket, from 0 in each date"),
        _ts("event time of the first trade in the bucket"),
        _end("event time of the closing trade"),
        Column("bucket_volume", _F, "V, units of base", reading=readings.BUCKET),
        Column("buy_volume", _F, "units of base where the buyer was the taker", reading=readings.BUCKET),
        Column("imbalance", _F, "|buy - sell| of the bucket, units of base", reading=readings.BUCKET),
        Column(
            "vpin_flag", _F, "VPIN from aggressor flags, 0 to 1; null until n buckets are complete", reading=readings.VPIN_FLAG
        ),
        Column(
            "vpin_bvc",
            _F,
            "VPIN by bulk volume classification as of the last minute that was over; null until n buckets are known",
            reading=readings.VPIN_BVC,
        ),
        Column(
            "pct",
            _F,
            "share of the past VPIN values that are at most this one; null until enough are known",
            reading=readings.PERCENTILE,
        ),
        Column("null_low", _F, "m - 1.96 s: low end of VPIN under independent signs", reading=readings.NULL_BAND),
        Column("null_high", _F, "m + 1.96 s: high end of VPIN under independent signs", reading=readings.NULL_BAND),
        Column("partial", _B, "closed short by the day anchor; enters no window", reading=readings.HOLES),
        Column("gap", _B, "the window of n buckets holds one that spans a hole in the tape", reading=readings.HOLES),
        Column("spans_gap", _B, "this bucket itself spans a hole in the tape", reading=readings.HOLES),
        Column(
            "squares",
            _F,
            "sum of piece x size of its trade, base units squared; u = sum of it / sum of volume",
            reading=readings.BUCKET,
        ),
    ),
)

ALERTS = Table(
    "alerts",
    "What stood out, as found by detectors. A live alert is never removed or replaced.",
    ("alert_id",),
    ("symbol", "ts"),
    (
        Column("alert_id", _S, "hash of what it is about (source, version, settings, instrument, closing trade or bar)"),
        _VENUE,
        _SYMBOL,
        _ts("event time of what it is about"),
        _end("when that was complete, in event time"),
        Column("source", _S, "detector, rule or agent"),
        Column(
            "detector",
            _S,
            "`big_trade volume_surge vpin_high liquidation_spike cascade_proxy spread_blowout book_imbalance`"
            " `stale_feed pipeline_behind dislocation rvol_spike volatility_jump liquidity_drain cusum_break`"
            " `new_trend trend_reversal trend_end`, or the name of a rule or agent",
        ),
        Column("version", _I, "version of the detector's definition"),
        Column("severity", pa.int8(), "1 notice, 2 warning, 3 severe"),
        Column("score", _F, "the measure that was tested, in the detector's own unit"),
        Column("threshold", _F, "what the score was held against"),
        Column("label", _S, "one line for a person"),
        Column("details", _S, "JSON: the figures behind it"),
        Column("origin", _S, "live or history"),
    ),
    every_epoch=True,
)

GAPS = Table(
    "gaps",
    "The gap ledger: what is missing, why, and what became of it. Newest row per key by `as_of`.",
    ("venue", "symbol", "feed", "ts"),
    ("symbol", "ts", "as_of"),
    (
        _VENUE,
        _SYMBOL,
        Column("feed", _S, "trades, quotes, book, liquidations or funding"),
        _ts("event time of the last trade before the hole"),
        _end("event time of the first trade after the hole"),
        Column("from_id", _I, "first missing id; null where ids are not contiguous"),
        Column("to_id", _I, "last missing id; null where ids are not contiguous"),
        Column("reason", _S, "reconnect, missing_ids, restart, shed ..."),
        Column("status", _S, "open, repaired, unfillable or shed"),
        Column("as_of", TIME, "journal time at which this was so"),
    ),
    every_epoch=True,
    newest=True,
)

KLINES = Table(
    "klines",
    "The venue's own candles, kept to check ours against; they feed no kernel.",
    ("venue", "symbol", "interval", "ts"),
    ("symbol", "interval", "ts"),
    (
        _VENUE,
        _SYMBOL,
        Column("interval", _S, "`1m` or `1d`", ("klines",)),
        _ts("start of the candle"),
        _end("end of the candle"),
        Column("open", _F, "quote currency per unit of base", ("klines",)),
        Column("high", _F, "quote currency per unit of base", ("klines",)),
        Column("low", _F, "quote currency per unit of base", ("klines",)),
        Column("close", _F, "quote currency per unit of base", ("klines",)),
        Column("volume", _F, "units of base", ("klines",)),
        Column("notional", _F, "quote currency", ("klines",)),
        Column("fills", _I, "fills, as the venue counts trades", ("klines",)),
        Column("taker_buy_volume", _F, "units of base", ("klines",)),
        Column("taker_buy_notional", _F, "quote currency", ("klines",)),
    ),
)

TABLES = {
    t.name: t
    for t in (
        TRADES,
        BARS,
        VPIN,
        FEATURES,
        ALERTS,
        POSTURE,
        *FEED_TABLES,
        GAPS,
        KLINES,
        *ACCOUNT_TABLES,
        PAIRS,
        BACKTESTS,
        SCORES,
        *BRIEF_TABLES,
    )
}


def describe() -> str:
    """Return `docs/tables.md`: every table and column with type, unit and inputs."""
    out = [
        "# Tables",
        "",
        "Generated from `pipelines/market.py` by `make docs`; do not edit.",
        "",
        (
            "Every table is a Delta table under `<lake>/<table>/`, partitioned by `date` (the UTC date of `ts`; of"
            " tick, volume and dollar bars and VPIN buckets, that of the closing trade) and `venue`."
            " All times are `timestamp[us, UTC]`. Unknown is null; nothing is NaN or infinite."
        ),
    ]
    for table in TABLES.values():
        out += ["", f"## {table.name}", "", table.doc, "", f"Key: `{', '.join(table.key)}`.", ""]
        out += ["| column | type | meaning | inputs |", "|---|---|---|---|"]
        out += [f"| `{c.name}` | {c.type} | {c.doc.replace('|', chr(92) + '|')} | {', '.join(c.inputs)} |" for c in table.columns]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    sys.stdout.write(describe())
