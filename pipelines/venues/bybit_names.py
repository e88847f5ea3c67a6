"""Names of Bybit's instruments, told by their form where no list of instruments is at hand.

Linear: `BTCUSDT`, margined in USDC `BTCPERP`, dated `BTCUSDT-26JUN26` and (USDC) `BTC-26JUN26`. Inverse: `BTCUSD`, dated
`BTCUSDM26` (month code and year), which expires on the last Friday of its month.
"""

from __future__ import annotations

import calendar
import re
from datetime import date, datetime
from typing import Final

from pipelines.market import Instrument
from pipelines.venues.bybit_rest import Market

_SPOT_QUOTES: Final = (
    "USDT",
    "USDC",
    "USDE",
    "USD1",
    "USDR",
    "DAI",
    "EUR",
    "BRL",
    "PLN",
    "TRY",
    "BTC",
    "ETH",
    "SOL",
    "MNT",
    "BRZ",
)
_MONTHS: Final = "FGHJKMNQUVXZ"
_NAME: Final = r"[A-Z0-9]+?"
_NORMAL = re.compile(rf"({_NAME})-({_NAME})(?:-(PERP|\d{{6}}))?")
_DATED = re.compile(rf"({_NAME})(USDT)?-(\d{{1,2}}[A-Z]{{3}}\d{{2}})")
_INVERSE = re.compile(rf"({_NAME})USD(?:([{_MONTHS}])(\d\d))?")
_SPOT = re.compile(rf"({_NAME})({'|'.join(_SPOT_QUOTES)})")
_LINEAR = re.compile(rf"({_NAME})(USDT|PERP)")


def guess(text: str, venue: str, market: Market) -> Instrument:
    """Return the instrument called `text`, by Bybit's name or normalised, as `venue` calls it.

    Raises
    ------
    ValueError
        If it is not of the form that names have in this market.
    """
    name = text.strip().upper()
    found = _native(name, market) or _normalised(name, market)
    if found is None:
        example = {"spot": "BTC-USDT", "linear": "BTC-USDT-PERP", "inverse": "BTC-USD-PERP"}[market]
        raise ValueError(f"cannot tell what {text!r} is at {venue}; write it like {example}")
    base, quote, suffix, native = found
    inverse = market == "inverse"
    symbol = "-".join(filter(None, (base, quote, suffix)))
    return Instrument(venue, symbol, native, base, quote, contract="1" if inverse else "", inverse=inverse)


def _native(name: str, market: Market) -> tuple[str, str, str, str] | None:
    """Return base, quote, suffix and the name itself, None if it has not the form of Bybit's own."""
    if market == "spot":
        match = _SPOT.fullmatch(name)
        return (match[1], match[2], "", name) if match else None
    if market == "inverse":
        match = _INVERSE.fullmatch(name)
        return (match[1], "USD", _last_friday(match[2], match[3]) if match[2] else "PERP", name) if match else None
    if match := _DATED.fullmatch(name):
        try:
            suffix = datetime.strptime(match[3], "%d%b%y").strftime("%y%m%d")  # noqa: DTZ007 - a date
        except ValueError:
            return None
        return match[1], match[2] or "USDC", suffix, name
    match = _LINEAR.fullmatch(name)
    return (match[1], match[2].replace("PERP", "USDC"), "PERP", name) if match else None


def _normalised(name: str, market: Market) -> tuple[str, str, str, str] | None:
    """Return base, quote, suffix and Bybit's name, None if it is no normalised name of this market."""
    match = _NORMAL.fullmatch(name)
    if match is None:
        return None
    base, quote, suffix = match[1], match[2], match[3] or ""
    if (market == "spot") != (suffix == "") or (market == "inverse") != (quote == "USD" and market != "spot"):
        return None
    if suffix in ("", "PERP"):
        return base, quote, suffix, f"{base}PERP" if (quote, suffix) == ("USDC", "PERP") else base + quote
    try:
        expiry = datetime.strptime(suffix, "%y%m%d")  # noqa: DTZ007 - a date
    except ValueError:
        return None
    if market == "inverse":
        return base, quote, suffix, f"{base}USD{_MONTHS[expiry.month - 1]}{expiry:%y}"
    head = base if quote == "USDC" else base + quote
    return base, quote, suffix, f"{head}-{expiry.day}{expiry:%b%y}".upper()


def _last_friday(month_code: str, year: str) -> str:
    month, full_year = _MONTHS.index(month_code) + 1, 2000 + int(year)
    last = date(full_year, month, calendar.monthrange(full_year, month)[1])
    return last.replace(day=last.day - (last.weekday() - calendar.FRIDAY) % 7).strftime("%y%m%d")
