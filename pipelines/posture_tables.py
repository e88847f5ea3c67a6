"""The table of postures: one row for each row of `features`."""

from __future__ import annotations

from typing import Final

from pipelines import feature_readings as readings
from pipelines.schema import FLOAT, SYMBOL, TEXT, TIME, VENUE, Column, Table, end, ts

_QUOTED: Final = ("trades", "quotes", "book")

POSTURE = Table(
    "posture",
    "Which way the tape leans at the end of each minute that had trades, and every term of it. Each term is weight x"
    " clip(z / 3, -1, 1), the weight being its bound; null: unknown. It is no advice, and `p_up` is no measured probability.",
    ("venue", "symbol", "ts"),
    ("symbol", "ts"),
    (
        VENUE,
        SYMBOL,
        ts("start of the minute"),
        end("end of the minute"),
        Column("p_up", FLOAT, "1 / (1 + exp(-sum of the terms of trades)); null where one is", reading=readings.P_UP),
        Column("term_mom_5m", FLOAT, "z = mom_bps_5m / (ATR sqrt(5)), ATR = atr_1m in bps; weight 1", reading=readings.TERM),
        Column("term_mom_15m", FLOAT, "z = mom_bps_15m / (ATR sqrt(15)); weight 1", reading=readings.TERM),
        Column("term_vwap_5m", FLOAT, "z = px_vs_vwap_bps_5m / atr_5m in bps; weight 0.5", reading=readings.TERM),
        Column(
            "term_imbalance_15m",
            FLOAT,
            "z = 3 trade_imbalance_15m, a share that is bounded as it is; weight 0.5",
            reading=readings.TERM,
        ),
        Column("term_rvol_5m", FLOAT, "z = rvol_5m with the sign of mom_bps_5m; weight 0.5", reading=readings.TERM),
        Column("term_ofi_1m", FLOAT, "z = ofi_1m / volume of the minute; weight 0.5", _QUOTED, reading=readings.TERM),
        Column("term_microprice", FLOAT, "z = (microprice / close - 1) / ATR; weight 0.5", _QUOTED, reading=readings.TERM),
        Column(
            "p_up_quotes",
            FLOAT,
            "p_up from the terms of quotes, too; null where one is. It moves no posture",
            _QUOTED,
            reading=readings.P_UP,
        ),
        Column(
            "entry", FLOAT, "p_up from which an instrument becomes long on this date, short from 1 - entry", reading=readings.P_UP
        ),
        Column("state", TEXT, "flat, long or short", reading=readings.POSTURE),
        Column(
            "since",
            TIME,
            "start of the minute that began the state; after midnight, as far as the 4 hours before tell",
            reading=readings.POSTURE,
        ),
        Column("action", TEXT, "enter, exit or hold: the change of state in this minute, no advice", reading=readings.POSTURE),
        Column(
            "confidence",
            FLOAT,
            "|sum| / sum of |term| over the terms of trades: 1 all point one way, 0 they cancel",
            reading=readings.POSTURE,
        ),
    ),
    every_epoch=True,
)
