"""The table of features: one wide row a minute with trades."""

from __future__ import annotations

from typing import Final

from pipelines import feature_readings as readings
from pipelines.schema import BOOLEAN, FLOAT, INTEGER, SYMBOL, VENUE, Column, Table, end, ts

VERSION: Final = 1
"""Raised whenever a column comes to mean something else: models learned from it are refused then."""
_BEST = ("quotes", "book")
_BOTH = ("trades", *_BEST)
_WIDTHS: Final = ("1m", "5m", "15m")
_MINUTES: Final = {"1m": "minute", "5m": "5 minutes", "15m": "15 minutes"}


def _window(w: str) -> tuple[Column, ...]:
    """Return the columns that end in `w`."""
    last = f"of the last {_MINUTES[w]}"
    return (
        Column(f"mom_bps_{w}", FLOAT, f"10,000 (C_t / C_(t-{w}) - 1), bps", reading=readings.MOMENTUM),
        Column(f"px_vs_vwap_bps_{w}", FLOAT, f"10,000 (C_t / VWAP - 1), bps; VWAP {last}", reading=readings.FROM_VWAP),
        Column(
            f"rvol_{w}",
            FLOAT,
            f"volume {last} / mean volume of the 20 windows of {w} before; null: they had none",
            reading=readings.RVOL,
        ),
        Column(
            f"atr_{w}",
            FLOAT,
            f"Wilder's ATR over 14 bars of {w}, as of the last closed one, quote currency",
            reading=readings.ATR,
        ),
        Column(
            f"trade_imbalance_{w}",
            FLOAT,
            f"(buy - sell) / volume {last}, by aggressor, -1 to 1",
            reading=readings.TRADE_IMBALANCE,
        ),
        Column(f"ofi_{w}", FLOAT, f"order flow imbalance at the best quotes {last}, units of base", _BEST, reading=readings.OFI),
    )


FEATURES = Table(
    "features",
    "What the tape says at the end of each minute that had trades. A minute without trades counts as one of no volume at the same"
    " price. Null: the window is not full yet, or the measure is not defined there.",
    ("venue", "symbol", "ts"),
    ("symbol", "ts"),
    (
        VENUE,
        SYMBOL,
        ts("start of the minute"),
        end("end of the minute"),
        *(column for w in _WIDTHS for column in _window(w)),
        Column(
            "rvol_tod_1m",
            FLOAT,
            "volume / mean volume of the same minute of the last 5 to 20 complete dates",
            reading=readings.RVOL_TIME_OF_DAY,
        ),
        Column("rv_15m", FLOAT, "realised variance, sum of the 15 squared log returns of minutes", reading=readings.VARIANCE),
        Column("rv_1h", FLOAT, "realised variance, sum of the 60 squared log returns of minutes", reading=readings.VARIANCE),
        Column(
            "kyle_lambda_1h",
            FLOAT,
            "Kyle's lambda: slope of the minute's change of price on its buy - sell, quote per base",
            reading=readings.KYLE,
        ),
        Column("kyle_t_1h", FLOAT, "t value of that slope", reading=readings.KYLE),
        Column("kyle_n_1h", INTEGER, "minutes with trades behind it, of the last 60", reading=readings.KYLE),
        Column(
            "amihud_1h",
            FLOAT,
            "mean of |log return| / notional of the minutes with trades, per unit of quote",
            reading=readings.AMIHUD,
        ),
        Column(
            "roll_bps_1h",
            FLOAT,
            "Roll's spread from closes of minutes, bps; null where the autocovariance is not negative",
            reading=readings.ROLL,
        ),
        Column("rv_1d", FLOAT, "realised variance of the last 288 returns of 5 minutes", reading=readings.JUMPS_OF_DAY),
        Column("bv_1d", FLOAT, "bipower variation of the same returns", reading=readings.JUMPS_OF_DAY),
        Column("jump_share_1d", FLOAT, "(rv_1d - bv_1d) / rv_1d", reading=readings.JUMPS_OF_DAY),
        Column(
            "jump_z_1d",
            FLOAT,
            "ratio test on jumps of the same returns; standard normal without jumps",
            reading=readings.JUMPS_OF_DAY,
        ),
        Column(
            "lee_mykland_5m",
            FLOAT,
            "last closed return of 5 minutes / root of the mean |r_j| |r_(j-1)| of the 324 before",
            reading=readings.LEE_MYKLAND,
        ),
        Column(
            "jump_5m",
            BOOLEAN,
            "that return is a jump: |lee_mykland_5m| above 5.395, false in one day of a hundred",
            reading=readings.LEE_MYKLAND,
        ),
        Column("gap", BOOLEAN, "a minute of the last 15 spans a hole in the tape", reading=readings.HOLE),
        Column(
            "spread_bps",
            FLOAT,
            "best ask less best bid at the end of the minute, bps of the middle",
            _BEST,
            reading=readings.SPREAD,
        ),
        Column(
            "microprice",
            FLOAT,
            "(bid x ask size + ask x bid size) / (bid size + ask size) at its end, quote currency",
            _BEST,
            reading=readings.MICROPRICE,
        ),
        Column(
            "effective_spread_bps_1m",
            FLOAT,
            "mean of 2 s (p - m) / m over trades, m the middle just before, bps",
            _BOTH,
            reading=readings.EFFECTIVE,
        ),
        Column(
            "realised_spread_bps_5s",
            FLOAT,
            "mean of 2 s (p - m') / m, m' the middle 5 s later; known by this minute",
            _BOTH,
            reading=readings.REALISED,
        ),
        Column(
            "realised_spread_bps_30s",
            FLOAT,
            "mean of 2 s (p - m') / m, m' the middle 30 s later; known by this minute",
            _BOTH,
            reading=readings.REALISED,
        ),
    ),
)
