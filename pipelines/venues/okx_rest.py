"""What OKX v5's REST answers say: instruments, candles, trades, errors. Requests are made by `okx.Okx`.

Errors mostly come with HTTP status 200: the `code` of the envelope tells.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Meta, Raw, Struct

from pipelines.market import Instrument
from pipelines.schema import TIME
from pipelines.tape import Decoded, Fault, empty
from pipelines.venues import okx_frames
from pipelines.venues.columns import EARLIEST_US, KLINES, LATEST_US, UNREADABLE, Floats
from pipelines.venues.venue import GARBLED, Failure

_T = TypeVar("_T")
_BUSY: Final = frozenset({"50001", "50004", "50011", "50013", "50026", "50061"})
"""Codes of errors that pass: out of service, timeout, too many requests, busy, failing, too many requests of an account."""
_CANDLE: Final = ("open", "high", "low", "close", "volume", "amount", "notional")


class _Envelope(Struct):
    data: list[Raw]


class _Told(Struct):
    code: Any = "0"
    msg: Any = ""


class _Time(Struct):
    ts: Annotated[int, Meta(ge=0, lt=LATEST_US // 1000)]


class _Candle(Struct, array_like=True):
    start: Annotated[int, Meta(ge=EARLIEST_US // 1000, lt=LATEST_US // 1000)]
    open: float
    high: float
    low: float
    close: float
    volume: float
    amount: float
    notional: float


class _Row(Struct):
    instType: str  # noqa: N815  the venue's spelling
    instId: str  # noqa: N815
    baseCcy: str = ""  # noqa: N815
    quoteCcy: str = ""  # noqa: N815
    settleCcy: str = ""  # noqa: N815
    ctVal: str = ""  # noqa: N815
    ctMult: str = ""  # noqa: N815
    ctValCcy: str = ""  # noqa: N815
    ctType: str = ""  # noqa: N815
    instFamily: str = ""  # noqa: N815
    uly: str = ""
    expTime: str = ""  # noqa: N815
    tickSz: str = ""  # noqa: N815
    lotSz: str = ""  # noqa: N815
    state: str = ""


_told = msgspec.json.Decoder(_Told)


def parse_error(body: bytes) -> Failure | None:
    """Return what went wrong if a REST answer is an error, else None."""
    try:
        told = _told.decode(body)
    except msgspec.ValidationError:
        return None
    except UNREADABLE:
        return GARBLED
    code = str(told.code)
    return None if code == "0" else Failure("busy" if code in _BUSY else "error", f"{told.msg} (code {code})")


def parse_time(body: bytes) -> int:
    """Read an answer to a request for the server's time, ms since 1970; ValueError if it is not of that form."""
    times = _read(body, _Time, "the time")
    if not times:
        raise ValueError("the answer about the time was empty")
    return times[0].ts


def parse_instruments(body: bytes, venue: str) -> list[Instrument]:
    """Read an answer about instruments of one type.

    Options and margin are left out, and contracts of which no value is told: their sizes mean nothing. The family is
    the first part of a contract's symbol: `BTC-USD` and `BTC-USD_UM` are two contracts on one underlying.

    Raises
    ------
    ValueError
        If the answer is not of that form.
    """
    rows = _read(body, _Row, "instruments")
    return [instrument for row in rows if (instrument := _instrument(row, venue))]


def _instrument(row: _Row, venue: str) -> Instrument | None:
    steps = (_plain(row.tickSz), _plain(row.lotSz), row.state)
    if row.instType == "SPOT":
        return Instrument(venue, f"{row.baseCcy}-{row.quoteCcy}", row.instId, row.baseCcy, row.quoteCcy, *steps)
    suffix = {"SWAP": "PERP", "FUTURES": _date(row.expTime)}.get(row.instType, "")
    contract = _plain(row.ctVal, row.ctMult or "1")
    inverse = row.ctType == "inverse"
    if not suffix or not contract or row.ctType not in {"linear", "inverse"}:
        return None
    base, quote = (row.settleCcy, row.ctValCcy) if inverse else (row.ctValCcy, row.settleCcy)
    return Instrument(venue, f"{row.instFamily or row.uly}-{suffix}", row.instId, base, quote, *steps, contract, inverse)


def _plain(*factors: str) -> str:
    """Return a product without trailing zeros, exactly; empty where it is none above zero."""
    product = Decimal(1)
    try:
        for factor in factors:
            product *= Decimal(factor)
    except InvalidOperation:
        return ""
    return f"{product.normalize():f}" if product.is_finite() and product > 0 else ""


def _date(ms: str) -> str:
    """Return the day on which a contract ends, like `220527`."""
    if not ms.isdecimal() or int(ms) * 1000 >= LATEST_US:
        return ""
    return datetime.fromtimestamp(int(ms) / 1000, UTC).strftime("%y%m%d")


def parse_klines(body: bytes) -> pa.Table:
    """Read candles into columns `KLINES`, in order of time (they come newest first).

    An answer says neither which instrument it is about nor how long a candle is. Of its two volumes, spot's are base and
    quote, a contract's are contracts and base: the base is the one that goes with turnover and price. Candles that all
    begin at midnight are days, others minutes.

    Raises
    ------
    ValueError
        If the answer is not of that form.
    """
    candles = sorted(_read(body, _Candle, "candles"), key=lambda candle: candle.start)
    start = np.array([c.start * 1000 for c in candles], np.int64)
    columns = {name: np.array([getattr(c, name) for c in candles], np.float64) for name in _CANDLE}
    if not all(np.isfinite(values).all() for values in columns.values()):
        raise ValueError("the answer about candles was malformed: a value was not finite")
    amount = columns.pop("amount")
    if _is_base(amount, columns) > _is_base(columns["volume"], columns):
        columns["volume"] = amount
    day = 86_400_000_000
    told: dict[str, Any] = {
        **columns,
        "ts": pa.array(start).cast(TIME),
        "end": pa.array(start + (60_000_000 if (start % day).any() else day)).cast(TIME),
    }
    unsaid = [None] * len(candles)
    return pa.table({name: told.get(name, unsaid) for name in KLINES.names}, schema=KLINES)


def _is_base(volume: Floats, candle: dict[str, Floats]) -> float:
    """Return how well a volume goes with turnover and price: 0 is best, less is worse."""
    traded = (volume > 0) & (candle["notional"] > 0) & (candle["close"] > 0)
    if not traded.any():
        return -math.inf
    implied = candle["notional"][traded] / volume[traded] / candle["close"][traded]
    return -float(np.abs(np.log(implied)).sum())


def decode_rest(body: bytes, native: str) -> Decoded:
    """Read an answer with trades of one instrument; `Fault.part` is the place of a refused one in it."""
    try:
        return okx_frames.decode_matches(_data(body, "trades"), native)
    except ValueError as error:
        return Decoded(empty(0), [], [Fault(0, str(error), native)], 0)


def _data(body: bytes, what: str) -> list[Raw]:
    """Return what is in an answer.

    Raises
    ------
    ValueError
        With the venue's own words if it is an error, else with what is wrong with its form.
    """
    if failure := parse_error(body):
        raise ValueError(f"the answer about {what} was an error: {' '.join(failure.text.split())[:200]}")
    try:
        return msgspec.json.decode(body, type=_Envelope).data
    except UNREADABLE as malformed:
        raise ValueError(f"the answer about {what} was malformed: {malformed}") from None


def _read(body: bytes, form: type[_T], what: str) -> list[_T]:
    """Return what is in an answer, each of `form`; ValueError as `_data`."""
    try:
        return [msgspec.json.decode(row, type=form, strict=False) for row in _data(body, what)]
    except msgspec.MsgspecError as error:
        raise ValueError(f"the answer about {what} was malformed: {error}") from None
