"""From columns as a venue sends them to rows of the tape: what makes a trade one that can be kept.

Every decoder ends here, so that frames, REST answers and archives are held to the same rules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import chain
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.feeds import Level
from pipelines.market import Flag
from pipelines.schema import TIME
from pipelines.tape import VOID, Decoded, Fault, Rows, empty

MAX_ID: Final = 2**63 - 1
MAX_DIGITS: Final = 15
"""Significant digits up to which a decimal text and its nearest double stand for each other."""
MAX_PLACES: Final = 18
ABSURD: Final = 1e12
"""No price and no size reaches this."""
EARLIEST_US: Final = 1_262_304_000_000_000
"""2010-01-01."""
LATEST_US: Final = 4_102_444_800_000_000
"""2100-01-01."""

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What reading hostile bytes as JSON may raise."""
KLINES = pa.schema(
    [
        ("ts", TIME),
        ("end", TIME),
        *((name, pa.float64()) for name in ("open", "high", "low", "close", "volume", "notional")),
        ("fills", pa.int64()),
        *((name, pa.float64()) for name in ("taker_buy_volume", "taker_buy_notional")),
    ]
)
"""What a venue's candles are read into: volumes in base, notionals in quote currency; null where it does not say."""

MOST: Final = 1e18
"""No size of a level reaches this: some coins trade by the million millions."""
_floats_of = msgspec.json.Decoder(list[float]).decode
"""Reads decimal texts faster than `float`, and as exactly."""
_PLAIN = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")

Tape = Literal["agg", "fill"]
"""What a tape is made of: aggregates, or single fills."""
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Trades(NamedTuple):
    """Columns of trades, one entry each a trade, as the venue sent them.

    Attributes
    ----------
    frame : int64, (n,)
        Which frame of the batch each came from; of a file, the line.
    symbol : list of str, n
        The venue's own names.
    trade_id : int64, (n,)
        Not below zero.
    price, size : list of str, n
        Quote currency per unit of base; units of base.
    time : int64, (n,)
        Match time since 1970 in ms, us or ns, told apart by magnitude.
    seller : bool, (n,)
        The seller was the taker.
    first_fill, last_fill : int64, (n,), or None
        Ids of the fills that an aggregate holds, ends included.
    off_book : bool, (n,), or None
        The trade did not come from the book.
    recv_ns : int64, (n,), or None
    history : bool, (n,), or None
        The venue sent again what was before the subscription.
    span : int64, (n,), or None
        Ids it uses up: `trade_id - span + 1` to `trade_id`.
    part : int64, (n,), or None
        Its place in a frame that holds several.
    """

    frame: Ints
    symbol: Sequence[str]
    trade_id: Ints
    price: Sequence[str]
    size: Sequence[str]
    time: Ints
    seller: Bools
    first_fill: Ints | None = None
    last_fill: Ints | None = None
    off_book: Bools | None = None
    recv_ns: Ints | None = None
    history: Bools | None = None
    span: Ints | None = None
    part: Ints | None = None


class Refused(NamedTuple):
    """A frame that no trade could be read from; `trade_id` is -1 where not even that is known."""

    frame: int
    reason: str
    symbol: str = ""
    trade_id: int = -1
    part: int = 0


def microseconds(time: Ints) -> Ints:
    """Return times since 1970 in ms, us or ns, told apart by magnitude, in us; what is below zero becomes zero."""
    time = np.maximum(time, 0)
    return np.where(time < 10**14, time * 1000, np.where(time < 10**17, time, time // 1000))


def nanoseconds(time: Ints) -> Ints:
    """Return times since 1970 in ms, us or ns, told apart by magnitude, in ns; what is below zero becomes zero."""
    time = np.maximum(time, 0)
    return np.where(time < 10**14, time * 10**6, np.where(time < 10**17, time * 1000, time))


def quoted(text: str) -> str:
    """Return `text` as it may stand in a reason: in quotes, on one line, cut at 40 characters."""
    return repr(text if len(text) <= 40 else text[:40] + "...")


def malformed(what: str, error: Exception) -> str:
    """Return the reason that `what` could not be read, on one line, cut at 200 characters."""
    text = " ".join(str(error).split())
    return f"{what} was malformed: {text if len(text) <= 200 else text[:200] + '...'}"


def decimals(texts: Sequence[str], what: str, *, zero: bool = False) -> tuple[Floats, dict[int, str]]:
    """Return the doubles nearest to decimal texts, and the reason against each that was refused (its value is 0).

    Parameters
    ----------
    texts : sequence of str
    what : str
        What the texts are, for the reasons.
    zero : bool
        Zero is accepted.
    """
    values, doubtful = _floats(texts)
    if not doubtful and values.size and values.max() < ABSURD and (zero or values.min() > 0):
        return values, {}
    odd = values >= ABSURD
    if not zero:
        odd |= values <= 0
    reasons: dict[int, str] = {}
    for i in sorted({*doubtful, *np.flatnonzero(odd).tolist()}):
        fault = _against(texts[i], zero=zero)
        values[i] = 0.0 if fault else float(texts[i])
        if fault:
            reasons[i] = f"{what} {fault}: {quoted(texts[i])}"
    return values, reasons


def number(text: str, what: str, *, zero: bool = False, signed: bool = False) -> float:
    """Return the double nearest to a decimal text; `zero` and what is below it are accepted if asked.

    Raises
    ------
    ValueError
        With the reason, as `decimals` words it. More digits than a double holds are rounded.
    """
    digits = text[1:] if signed and text.startswith("-") else text
    if not _PLAIN.fullmatch(digits):
        raise ValueError(f"{what} {_not_plain(digits)}: {quoted(text)}")
    value = float(text)
    if abs(value) >= ABSURD:
        raise ValueError(f"{what} was absurd: {quoted(text)}")
    if value == 0 and not (zero or signed):
        raise ValueError(f"{what} was not above zero: {quoted(text)}")
    return value


def moment(time: int) -> int:
    """Return a time since 1970 in ms, us or ns, told apart by magnitude, in us; ValueError if not between 2010 and 2100."""
    us = time * 1000 if time < 10**14 else time if time < 10**17 else time // 1000
    if not EARLIEST_US <= us < LATEST_US:
        raise ValueError(f"time was not between 2010 and 2100: {time}")
    return us


def check_levels(*sides: Sequence[Level]) -> None:
    """Raise ValueError with the reason if a price of a book is not above zero, or a size below it, or either no plain decimal."""
    texts = [*chain.from_iterable(chain.from_iterable(sides))]
    if texts and _are_digits_and_points(texts):
        try:
            values = [*map(float, texts)]
        except ValueError:
            pass
        else:
            if min(values[::2]) > 0 and max(values[::2]) < ABSURD and max(values) < MOST:
                return
    for text in texts[::2]:
        if not _PLAIN.fullmatch(text) or not 0 < float(text) < ABSURD:
            raise ValueError(f"price of a level {_against(text, zero=False) or 'was absurd'}: {quoted(text)}")
    for text in texts[1::2]:
        if not _PLAIN.fullmatch(text) or float(text) >= MOST:
            raise ValueError(f"size of a level {_against(text, zero=True) or 'was absurd'}: {quoted(text)}")


def _floats(texts: Sequence[str]) -> tuple[Floats, Sequence[int]]:
    """Return the values and which texts need a closer look: all, if any holds more than digits and points."""
    if _are_digits_and_points(texts):
        try:
            values = np.fromiter(_floats_of(f"[{','.join(texts)}]"), np.float64, len(texts))
        except UNREADABLE:
            pass
        else:
            if max(map(len, texts), default=0) <= MAX_DIGITS:
                return values, ()
            return values, [i for i, t in enumerate(texts) if len(t) > MAX_DIGITS and len(t.strip("0")) > MAX_DIGITS]
    return np.zeros(len(texts)), range(len(texts))


def _are_digits_and_points(texts: Sequence[str]) -> bool:
    return not "".join(texts).encode(errors="replace").translate(None, b"0123456789.")


def _against(text: str, *, zero: bool) -> str | None:
    """Return what speaks against a decimal text, or None."""
    if not _PLAIN.fullmatch(text):
        return _not_plain(text)
    value = float(text)
    digits = text.replace(".", "").strip("0")
    places = text.partition(".")[2].rstrip("0")
    checks = (
        (value >= ABSURD, "was absurd"),
        (value == 0 and not zero, "was not above zero"),
        (len(digits) > MAX_DIGITS, f"had more than {MAX_DIGITS} significant digits"),
        (len(places) > MAX_PLACES, f"had more than {MAX_PLACES} decimal places"),
    )
    return next((fault for wrong, fault in checks if wrong), None)


def _not_plain(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return "was not a number"
    if not math.isfinite(value):
        return "was not finite"
    return "was not plain decimal text" if value > 0 else "was not above zero"


def build(trades: Trades, refused: Sequence[Refused], ignored: int) -> Decoded:
    """Return the rows of `trades` that can be kept, a void for every other whose id is known, and all faults.

    Rows and faults are in the order of their frames; `refused` are frames that gave no entry in `trades`.
    """
    if not trades.symbol and not refused:
        return Decoded(empty(0), [], [], ignored)
    known = [r for r in refused if r.trade_id >= 0]
    index = {name: i for i, name in enumerate(dict.fromkeys([*trades.symbol, *(r.symbol for r in known)]))}
    rows, reasons = _rows(trades)
    rows["instrument"] = 0 if len(index) == 1 else [index[name] for name in trades.symbol]
    part = trades.part if trades.part is not None else np.zeros(len(trades.symbol), np.int64)
    faults = [Fault(int(trades.frame[i]), reason, trades.symbol[i], int(part[i])) for i, reason in reasons.items()]
    faults += [Fault(r.frame, r.reason, r.symbol, r.part) for r in refused]
    if reasons:
        _void(rows, np.array(sorted(reasons)))
    if known:
        voids = empty(len(known))
        voids["frame"] = [r.frame for r in known]
        voids["instrument"] = [index[r.symbol] for r in known]
        voids["trade_id"] = [r.trade_id for r in known]
        _void(voids, np.arange(voids.size))
        rows = np.concatenate([rows, voids])
        rows = rows[np.argsort(rows["frame"], kind="stable")]
    return Decoded(rows, list(index), sorted(faults), ignored)


def _rows(trades: Trades) -> tuple[Rows, dict[int, str]]:
    """Return a row for each trade, and the reason against each that cannot be kept."""
    rows = empty(len(trades.symbol))
    rows["frame"] = trades.frame
    rows["trade_id"] = trades.trade_id
    rows["ts"] = ts = microseconds(trades.time)
    rows["price"], of_price = decimals(trades.price, "price")
    rows["size"], of_size = decimals(trades.size, "size")
    rows["side"] = np.where(trades.seller, -1, 1)
    reasons = of_size | of_price
    for i in np.flatnonzero((ts < EARLIEST_US) | (ts >= LATEST_US)).tolist():
        reasons.setdefault(i, f"time was not between 2010 and 2100: {trades.time[i]}")
        rows["ts"][i] = 0
    if trades.first_fill is not None and trades.last_fill is not None:
        first, last = trades.first_fill, trades.last_fill
        wrong = (first < 0) | (last < first) | (last - first >= 2**31 - 1)
        for i in np.flatnonzero(wrong).tolist():
            reasons.setdefault(i, f"fills were not a range of ids: {first[i]} to {last[i]}")
        rows["first_fill"], rows["last_fill"] = first, last
        rows["fills"] = np.where(wrong, 0, last - first + 1)
    if trades.recv_ns is not None:
        rows["recv_ns"] = trades.recv_ns
    if trades.off_book is not None and trades.off_book.any():
        rows["flags"] = np.where(trades.off_book, int(Flag.OFF_BOOK), 0)
        rows["counted"] = ~trades.off_book
    if trades.history is not None:
        rows["flags"] |= np.where(trades.history, np.int32(Flag.HISTORY), np.int32(0))
    if trades.span is not None:
        rows["span"] = trades.span
    return rows, reasons


def _void(rows: Rows, which: Ints) -> None:
    """Turn rows into voids: the id is used up, the rest is neutral but for time and place."""
    blank = empty(which.size)
    for name in ("recv_ns", "frame", "instrument", "trade_id", "ts", "span"):
        blank[name] = rows[name][which]
    blank["kind"], blank["counted"], blank["fills"] = VOID, False, 0
    rows[which] = blank
