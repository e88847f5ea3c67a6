"""Names of Binance's instruments: looked up where the venue has described them, else told by their quote asset."""

from __future__ import annotations

import re
from typing import Final

from pipelines.market import Instrument

_QUOTE_ASSETS: Final = (
    *("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USDS", "USD1", "BFUSD", "PAX", "DAI", "UST", "USD", "EURI"),
    *("BTC", "ETH", "BNB", "TRX", "XRP", "DOGE", "DOT", "SOL", "EUR", "AEUR", "GBP", "AUD", "TRY", "BRL", "RUB"),
    *("UAH", "NGN", "ZAR", "PLN", "RON", "ARS", "JPY", "MXN", "CZK", "COP", "IDR", "IDRT", "BIDR", "BKRW", "BVND"),
)
_NORMAL = re.compile(r"([^-_]+)-([^-_]+?)(?:-(PERP|\d{6}))?")
_INVERSE = re.compile(r"([^-_]+)USD_(PERP|\d{6})|([^-_]+)-USD-(PERP|\d{6})")
_DATED = re.compile(r"([^-_]+)_(\d{6})")


def guess(text: str, venue: str, perpetual: str) -> Instrument:
    """Return the instrument called `text` where no list of instruments is at hand.

    Parameters
    ----------
    text : str
        `BTCUSDT`, or normalised: `BTC-USDT`.
    venue : str
    perpetual : str
        What the venue's symbols of perpetual contracts end in: `-PERP`, or nothing if it has none.

    Raises
    ------
    ValueError
        If the quote asset cannot be told, or the name is not one of this venue's.
    """
    name = text.strip().upper()
    normal = _NORMAL.fullmatch(name)
    if normal:
        base, quote, suffix = normal.groups()
        date = suffix if suffix != "PERP" else None
        if date is None and suffix != (perpetual.removeprefix("-") or None):
            raise ValueError(f"{venue} has no {text!r}: did you mean {base}-{quote}{perpetual}?")
    else:
        dated = _DATED.fullmatch(name)
        pair, date = dated.groups() if dated else (name, None)
        if pair.endswith("_PERP"):
            raise ValueError(f"{text!r} is a COIN-M contract, of which {venue} has none: see binance-coinm")
        quotes = [q for q in _QUOTE_ASSETS if pair.endswith(q) and len(pair) > len(q)]
        if not quotes:
            raise ValueError(f"cannot tell base from quote asset in {text!r}; write it like BTC-USDT{perpetual}")
        quote = max(quotes, key=len)
        base = pair.removesuffix(quote)
    native = f"{base}{quote}_{date}" if date else f"{base}{quote}"
    return Instrument(venue, f"{base}-{quote}{f'-{date}' if date else perpetual}", native, base, quote)


def guess_inverse(text: str, venue: str) -> Instrument:
    """Return the COIN-M contract called `text` (`BTCUSD_PERP` or `BTC-USD-PERP`) where no list of instruments is at hand.

    Of bitcoin a contract is worth 100 USD, of every other coin 10.

    Raises
    ------
    ValueError
        If the name is none of a COIN-M contract.
    """
    name = text.strip().upper()
    match = _INVERSE.fullmatch(name)
    if match is None:
        raise ValueError(f"{venue} has no {text!r}: its contracts are called like BTC-USD-PERP or BTCUSD_PERP")
    base, suffix = (part for part in match.groups() if part)
    contract = "100" if base == "BTC" else "10"
    return Instrument(venue, f"{base}-USD-{suffix}", f"{base}USD_{suffix}", base, "USD", contract=contract, inverse=True)
