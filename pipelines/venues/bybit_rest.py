"""What Bybit's REST answers say: instruments, candles, trades, errors. Requests are made by `bybit.Bybit`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, Literal

import msgspec
import pyarrow as pa
from msgspec import Meta, Struct, field

from pipelines.market import Instrument
from pipelines.venues import candles
from pipelines.venues.columns import MAX_ID, UNREADABLE
from pipelines.venues.venue import GARBLED, Failure

Market = Literal["spot", "linear", "inverse"]
"""What Bybit calls a category."""

_BUSY: Final = frozenset({"10000", "10006", "10016", "10018", "10429"})
"""Codes of errors that pass: timeout, too many visits, failing, too many requests of an address, too many of all."""
_PERPETUAL: Final = ("LinearPerpetual", "InversePerpetual")
_INVERSE: Final = ("InversePerpetual", "InverseFutures")


class _Steps(Struct, frozen=True):
    tickSize: str = ""  # noqa: N815  the venue's spelling
    qtyStep: str = ""  # noqa: N815
    basePrecision: str = ""  # noqa: N815


class _Symbol(Struct):
    symbol: str
    baseCoin: str  # noqa: N815
    quoteCoin: str  # noqa: N815
    status: str = ""
    contractType: str = ""  # noqa: N815
    deliveryTime: str = "0"  # noqa: N815
    priceFilter: _Steps = _Steps()  # noqa: N815
    lotSizeFilter: _Steps = _Steps()  # noqa: N815


class _Symbols(Struct):
    rows: list[_Symbol] = field(name="list")
    nextPageCursor: str | None = None  # noqa: N815


class _Instruments(Struct):
    result: _Symbols


_Row = tuple[str, str, str, str, str, str, str]


class _Candles(Struct):
    rows: list[_Row] = field(name="list")


class _Klines(Struct):
    result: _Candles


class _Time(Struct):
    time: Annotated[int, Meta(gt=0, le=MAX_ID)]


class _Told(Struct):
    retCode: Any = 0  # noqa: N815
    retMsg: Any = ""  # noqa: N815


_told = msgspec.json.Decoder(_Told)


def parse_error(body: bytes) -> Failure | None:
    """Return what went wrong if a REST answer is an error (HTTP says 200 all the same), else None."""
    try:
        told = _told.decode(body)
    except msgspec.ValidationError:
        return None
    except UNREADABLE:
        return GARBLED
    code = str(told.retCode)
    return None if code == "0" else Failure("busy" if code in _BUSY else "error", f"{told.retMsg} (code {code})")


def _read(body: bytes, form: type[Any], what: str) -> Any:
    """Return an answer as `form`.

    Raises
    ------
    ValueError
        With the venue's own words if it is an error, else with what is wrong with its form.
    """
    if failure := parse_error(body):
        raise ValueError(f"the answer about {what} was an error: {failure.text}")
    try:
        return msgspec.json.decode(body, type=form)
    except UNREADABLE as error:
        raise ValueError(f"the answer about {what} was malformed: {error}") from None


def parse_time(body: bytes) -> int:
    """Read an answer to a request for the server's time, ms since 1970; ValueError if it is not of that form."""
    time: int = _read(body, _Time, "the time").time
    return time


def cursor(body: bytes) -> str:
    """Return where the next page of instruments begins, empty if this was the last or cannot be read."""
    try:
        return msgspec.json.decode(body, type=_Instruments).result.nextPageCursor or ""
    except UNREADABLE:
        return ""


def parse_instruments(body: bytes, venue: str) -> list[Instrument]:
    """Read an answer about instruments, `venue` being our name of the market.

    Inverse contracts are worth one USD each: their sizes count dollars.

    Raises
    ------
    ValueError
        If the answer is not of that form.
    """
    symbols: list[_Symbol] = _read(body, _Instruments, "instruments").result.rows
    try:
        return [
            Instrument(
                venue,
                f"{s.baseCoin}-{s.quoteCoin}{_suffix(s)}",
                s.symbol,
                s.baseCoin,
                s.quoteCoin,
                _step(s.priceFilter.tickSize),
                _step(s.lotSizeFilter.qtyStep or s.lotSizeFilter.basePrecision),
                s.status,
                "1" if s.contractType in _INVERSE else "",
                s.contractType in _INVERSE,
            )
            for s in symbols
        ]
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"the answer about instruments was malformed: {error}") from None


def _suffix(symbol: _Symbol) -> str:
    if not symbol.contractType:
        return ""
    if symbol.contractType in _PERPETUAL:
        return "-PERP"
    return datetime.fromtimestamp(int(symbol.deliveryTime) / 1000, UTC).strftime("-%y%m%d")


def _step(text: str) -> str:
    """Return a step without trailing zeros; empty where there is none."""
    try:
        step = Decimal(text)
    except InvalidOperation:
        return ""
    return f"{step.normalize():f}" if step.is_finite() and step > 0 else ""


def parse_klines(body: bytes, market: Market) -> pa.Table:
    """Read candles: columns `KLINES`. An inverse contract's volume is in USD and its turnover in base.

    Raises
    ------
    ValueError
        If the answer is not of that form.
    """
    rows = _read(body, _Klines, "candles").result.rows
    try:
        return candles.table([_candle(row, inverse=market == "inverse") for row in rows])
    except (ValueError, OverflowError) as error:
        raise ValueError(f"the answer about candles was malformed: {error}") from None


def _candle(row: _Row, *, inverse: bool) -> candles.Candle:
    start, *values = row
    o, h, low, c, volume, turnover = map(float, values)
    base, notional = (turnover, volume) if inverse else (volume, turnover)
    return candles.Candle(int(start) // 1000, o, h, low, c, base, notional=notional)
