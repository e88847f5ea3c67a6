"""The venues: what to ask of each, and how to read what it sends (bytes in, rows out; no sockets here)."""

from __future__ import annotations

from typing import Final

from pipelines.venues.binance import Binance
from pipelines.venues.coinbase import Coinbase
from pipelines.venues.venue import Venue

VENUES: Final[dict[str, Venue]] = {
    "binance-spot": Binance("binance-spot", "spot"),
    "binance-usdm": Binance("binance-usdm", "usdm"),
    "coinbase": Coinbase(),
    "demo": Binance("demo", "usdm"),
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
