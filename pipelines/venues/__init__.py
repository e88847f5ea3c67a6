"""The venues: what to ask of each, and how to read what it sends (bytes in, rows out; no sockets here)."""

from __future__ import annotations

from typing import Final

from pipelines.venues.binance import Binance
from pipelines.venues.bybit import Bybit
from pipelines.venues.coinbase import Coinbase
from pipelines.venues.coinbase_advanced import CoinbaseAdvanced
from pipelines.venues.ftx import Ftx
from pipelines.venues.kraken import Kraken
from pipelines.venues.okx import Okx
from pipelines.venues.venue import Venue

VENUES: Final[dict[str, Venue]] = {
    "binance-spot": Binance("binance-spot", "spot"),
    "binance-usdm": Binance("binance-usdm", "usdm"),
    "binance-coinm": Binance("binance-coinm", "coinm"),
    "coinbase": Coinbase(),
    "coinbase-advanced": CoinbaseAdvanced(),
    "bybit-spot": Bybit("bybit-spot", "spot"),
    "bybit-linear": Bybit("bybit-linear", "linear"),
    "bybit-inverse": Bybit("bybit-inverse", "inverse"),
    "okx": Okx(),
    "kraken": Kraken(),
    "demo": Binance("demo", "usdm"),
    "ftx": Ftx(),
}


def venue(name: str) -> Venue:
    """Return the venue of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    try:
        return VENUES[name]
    except KeyError:
        raise ValueError(f"unknown venue {name!r}; use {', '.join(VENUES)}") from None
