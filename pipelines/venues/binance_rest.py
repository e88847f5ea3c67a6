"""What Binance's REST answers say: instruments, candles, errors. Requests are made by `binance.Binance`."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct

from pipelines.market import Instrument
from pipelines.schema import TIME
from pipelines.venues.columns import KLINES, LATEST_US, MAX_ID, UNREADABLE, microseconds
from pipelines.venues.venue import GARBLED, Failure


class _Symbol(Struct):
    symbol: str
    baseAsset: str  # noqa: N815  the venue's spelling
    quoteAsset: str  # noqa: N815
    status: str = ""
    contractStatus: str = ""  # noqa: N815  what COIN-M calls it
    contractSize: int | float | str = ""  # noqa: N815
    contractType: str | None = None  # noqa: N815
    deliveryDate: int = 0  # noqa: N815
    marginAsset: str | None = None  # noqa: N815
    filters: list[dict[str, Any]] = []


class _ExchangeInfo(Struct):
    symbols: list[_Symbol]


_When = Annotated[int, msgspec.Meta(ge=0, lt=LATEST_US)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
_KLINE = tuple[_When, str, str, str, str, str, _When, str, _Count, str, str, Any]
_VALUES = ("open", "high", "low", "close", "volume", "notional", "taker_buy_volume", "taker_buy_notional")
_INVERSE_VALUES = ("open", "high", "low", "close", "contracts", "volume", "taker_buy_contracts", "taker_buy_volume")


class _Told(Struct):
    code: Any = None
    msg: Any = None


_told = msgspec.json.Decoder(_Told)


def parse_error(body: bytes) -> Failure | None:
    """Return what went wrong if a REST answer is an error, else None; too many requests are told by the status."""
    try:
        told = _told.decode(body)
    except msgspec.ValidationError:
        return None
    except UNREADABLE:
        return GARBLED
    return None if told.code is None or told.msg is None else Failure("error", f"{told.msg} (code {told.code})")


class _Time(Struct):
    serverTime: int  # noqa: N815


def parse_time(body: bytes) -> int:
    """Read an answer to a request for the server's time, ms since 1970; ValueError if it is not of that form."""
    try:
        return msgspec.json.decode(body, type=_Time).serverTime
    except UNREADABLE as error:
        raise ValueError(f"the answer about the time was malformed: {error}") from None


def parse_instruments(body: bytes, venue: str, perpetual: str, *, inverse: bool = False) -> list[Instrument]:
    """Read an `exchangeInfo` answer.

    Contracts of no type yet are left out, as they do not trade. Of the others those margined in their base asset are
    COIN-M's, whose sizes count contracts; one without a size of its contract is left out.

    Parameters
    ----------
    body : bytes
    venue : str
        Our name of the venue.
    perpetual : str
        What the symbols of perpetual contracts end in: `-PERP`, or nothing.
    inverse : bool
        Take COIN-M's contracts, and only these.

    Raises
    ------
    ValueError
        If the answer is not of that form.
    """
    try:
        info = msgspec.json.decode(body, type=_ExchangeInfo)
    except UNREADABLE as error:
        raise ValueError(f"{venue}: exchangeInfo was malformed: {error}") from None
    found = [s for s in info.symbols if s.contractType != "" and (s.marginAsset == s.baseAsset) == inverse]
    return [
        Instrument(
            venue,
            f"{s.baseAsset}-{s.quoteAsset}{_suffix(s, perpetual)}",
            s.symbol,
            s.baseAsset,
            s.quoteAsset,
            _step(s, "PRICE_FILTER", "tickSize"),
            _step(s, "LOT_SIZE", "stepSize"),
            s.status or s.contractStatus,
            contract=_plain(s.contractSize) if inverse else "",
            inverse=inverse,
        )
        for s in found
        if not inverse or _plain(s.contractSize)
    ]


def _suffix(symbol: _Symbol, perpetual: str) -> str:
    if symbol.contractType is None:
        return ""
    if "PERPETUAL" in symbol.contractType or not symbol.deliveryDate:
        return perpetual
    return datetime.fromtimestamp(symbol.deliveryDate / 1000, UTC).strftime("-%y%m%d")


def _step(symbol: _Symbol, kind: str, key: str) -> str:
    """Return a filter's step without trailing zeros; empty where there is none."""
    return next((_plain(rule.get(key)) for rule in symbol.filters if rule.get("filterType") == kind), "")


def _plain(value: object) -> str:
    """Return a decimal without trailing zeros; empty where it is none above zero."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return ""
    return f"{number.normalize():f}" if number.is_finite() and number > 0 else ""


def parse_klines(body: bytes, *, inverse: bool = False) -> pa.Table:
    """Read candles: the columns of table `klines` that the answer itself holds (see `KLINES`).

    COIN-M's (`inverse`) count contracts where others count base, and base where others count quote currency.

    Raises
    ------
    ValueError
        If the answer is not of that form.
    """
    try:
        return _klines(msgspec.json.decode(body, type=list[_KLINE]), inverse=inverse)
    except UNREADABLE as error:
        raise ValueError(f"klines were malformed: {error}") from None


def parse_klines_file(body: bytes, *, inverse: bool = False) -> pa.Table:
    """Read candles of an archive's file: lines of CSV with the columns of the REST answer, under a header or none.

    Raises
    ------
    ValueError
        If a line is not of that form.
    """
    try:
        lines = body.decode("ascii").split()
        rows = [line.split(",") for line in lines[bool(lines) and not lines[0][:1].isdigit() :]]
        return _klines(msgspec.convert(rows, list[_KLINE], strict=False), inverse=inverse)
    except UNREADABLE as error:
        raise ValueError(f"klines were malformed: {error}") from None


def _klines(rows: list[Any], *, inverse: bool) -> pa.Table:
    texts = [(r[1], r[2], r[3], r[4], r[5], r[7], r[9], r[10]) for r in rows]
    values = [[float(text) for text in row] for row in texts]
    if not all(math.isfinite(v) for row in values for v in row):
        raise ValueError("a value was not finite")
    start = np.array([r[0] for r in rows], np.int64)
    last = np.array([r[6] for r in rows], np.int64)
    unit = np.where(last < 10**14, 1000, 1)
    names = _INVERSE_VALUES if inverse else _VALUES
    columns: dict[str, Any] = dict(zip(names, zip(*values, strict=True), strict=True)) if rows else {}
    columns["ts"] = pa.array(microseconds(start)).cast(TIME)
    columns["end"] = pa.array(microseconds(last) + unit).cast(TIME)
    columns["fills"] = [r[8] for r in rows]
    return pa.table({name: columns.get(name, [None] * len(rows)) for name in KLINES.names}, schema=KLINES)
