"""Lines of CSV as trades: whatever is written as it should be is read here, all else is left to `venues.csv_trades`.

Ten times as fast as a reader of tables, because a line is looked at once and no text is made of it. What is read here is
what `csv_trades.decode` reads, to the bit: a decimal of at most 15 digits is an integer divided by a power of ten, and of
two such doubles the quotient is the nearest double.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from pipelines.tape import TRADE

LINE = np.dtype(
    [
        ("ts", np.int64),  # match time, us since 1970
        ("trade_id", np.int64),
        ("price", np.float64),
        ("size", np.float64),
        ("first_fill", np.int64),  # -1: none
        ("last_fill", np.int64),
        ("recv_ns", np.int64),  # 0: unknown
        ("frame", np.int32),  # number of the line, from 1
        ("side", np.int8),
        ("kind", np.int8),  # of `tape`
        ("flags", np.int16),  # market.Flag; not set here
    ]
)
"""A trade on its way from a file: what `tape.ROW` holds of it, in half the space."""

_BARE: Final[dict[str, Any]] = {"cache": True, "_nrt": False}
"""How a reader of cells is compiled: it allocates nothing, and to count references to the text at each call, in locked steps,
takes as long as to read it."""
_NUMBERS: Final = ("id", "number", "price", "size", "first", "last", "time", "seconds", "received")
_WORDS: Final = ("", "uuid", "seller", "side", "symbol", "best", "iso")
CODES: Final = {name: code for code, name in enumerate(_NUMBERS + _WORDS)}
"""Numbers of the columns of `csv_trades.Layout`."""
_ID, _NUMBER, _PRICE, _SIZE, _FIRST, _LAST, _TIME, _SECONDS, _RECEIVED = range(len(_NUMBERS))
_UNUSED, _UUID, _SELLER, _SIDE, _SYMBOL, _BEST, _ISO = range(len(_NUMBERS), len(CODES))

_EARLIEST = 1_262_304_000_000_000
_LATEST = 4_102_444_800_000_000
_ABSURD = 1e12
_MOST = 10**15
"""A mantissa of 15 digits is below this."""
_EXACT = 1 << 53
_TENS = np.array([10.0**e for e in range(19)])
_TRUE, _FALSE, _NEITHER = 1, 0, -1
_TRUTHS = (4, 5)
_HYPHENS = (8, 13, 18, 23)
"""Lengths of the words for truth, and where a UUID has its hyphens: tuples, for of a set numba makes one anew at each look."""
_COMMA, _LF, _CR, _POINT, _HASH, _DASH, _COLON, _TEE, _ZULU, _PLUS = 44, 10, 13, 46, 35, 45, 58, 84, 90, 43


@njit(**_BARE)
def _integer(data, at):
    """Return an unsigned integer of at most 18 digits, -1 if it is none, and where it ends."""
    begin, value = at, np.int64(0)
    while True:
        digit = np.int64(data[at]) - 48
        if not 0 <= digit <= 9:
            break
        value = value * 10 + digit
        at += 1
    return value if 0 < at - begin <= 18 else np.int64(-1), at


@njit(**_BARE)
def _decimal(data, at, most):
    """Return a plain decimal as mantissa (below `most`; -1 if it is none, or has more digits) and places, and where it ends."""
    begin, value, point = at, np.int64(0), np.int64(-1)
    while True:
        digit = np.int64(data[at]) - 48
        if 0 <= digit <= 9:
            value = value * 10 + digit
        elif digit == -2 and point < 0:
            point = at
        else:
            break
        at += 1
    digits, places = at - begin, np.int64(0)
    if point >= 0:
        digits, places = digits - 1, at - point - 1
    if not 0 < digits <= 18:
        return np.int64(-1), places, at
    while value >= most and places > 0 and value % 10 == 0:
        value //= 10
        places -= 1
    return value if value < most else np.int64(-1), places, at


@njit(**_BARE)
def _amount(data, at):
    """Return the nearest double of a decimal above zero, 0 if it is none that is surely kept, and where it ends."""
    value, places, at = _decimal(data, at, _MOST)
    amount = value / _TENS[places] if value > 0 else 0.0
    return amount if amount < _ABSURD else 0.0, at


@njit(**_BARE)
def _us(time):
    """Return a time in ms, us or ns, told apart by magnitude, in us."""
    if time < 10**14:
        return time * 1000
    return time if time < 10**17 else time // 1000


@njit(**_BARE)
def _ns(time):
    """Return a time in ms, us or ns, told apart by magnitude, in ns."""
    if time < 10**14:
        return time * 10**6
    return time * 1000 if time < 10**17 else time


@njit(**_BARE)
def _truth(data, begin, end):
    """Return `_TRUE` or `_FALSE` of a cell like `true`, `True`, `TRUE` or `1`, `_NEITHER` of any other."""
    n = end - begin
    if n == 1:
        return _TRUE if data[begin] == 49 else _FALSE if data[begin] == 48 else _NEITHER
    text, found = ((116, 114, 117, 101, 0), _TRUE) if n == 4 else ((102, 97, 108, 115, 101), _FALSE)
    if n not in _TRUTHS:
        return _NEITHER
    lower, upper, title = True, True, True
    for k in range(n):
        byte = np.int64(data[begin + k])
        lower &= byte == text[k]
        upper &= byte == text[k] - 32
        title &= byte == (text[k] - 32 if k == 0 else text[k])
    return found if lower or upper or title else _NEITHER


@njit(**_BARE)
def _sold(data, begin, end):
    """Return `_TRUE` of `sell` and `Sell`, `_FALSE` of `buy` and `Buy`, `_NEITHER` of any other."""
    n = end - begin
    if n == 4 and data[begin] | 32 == 115 and data[begin + 1] == 101 and data[begin + 2] == 108 and data[begin + 3] == 108:
        return _TRUE
    if n == 3 and data[begin] | 32 == 98 and data[begin + 1] == 117 and data[begin + 2] == 121:
        return _FALSE
    return _NEITHER


@njit(**_BARE)
def _uuid(data, begin, end):
    """Return the first 63 bits of a UUID; -1 if it is none."""
    if end - begin != 36:
        return -1
    bits, digits = np.uint64(0), 0
    for k in range(36):
        byte = np.int64(data[begin + k])
        if k in _HYPHENS:
            if byte != 45:
                return -1
            continue
        letter = byte | 32
        if 48 <= byte <= 57:
            digit = byte - 48
        elif 97 <= letter <= 102:
            digit = letter - 87
        else:
            return -1
        if digits < 16:
            bits = bits << np.uint64(4) | np.uint64(digit)
            digits += 1
    return np.int64(bits >> np.uint64(1))


@njit(**_BARE)
def _digits(data, begin, count):
    """Return the number that so many digits are; below zero if they are none."""
    value = np.int64(0)
    for k in range(begin, begin + count):
        digit = np.int64(data[k]) - 48
        value = value * 10 + digit if 0 <= digit <= 9 else np.int64(-(10**9))
    return value


@njit(**_BARE)
def _iso(data, begin, end):
    """Return a UTC time like `2022-11-09T10:00:00.123456+00:00` in us since 1970; -1 if it is none."""
    zone = 1 if data[end - 1] == _ZULU else 6 if end - begin > 25 and data[end - 6] == _PLUS else 0
    places = end - begin - zone - 20
    if zone == 0 or not (places == -1 or 1 <= places <= 6):
        return np.int64(-1)
    marks = data[begin + 4] == _DASH and data[begin + 7] == _DASH and data[begin + 10] == _TEE
    marks = marks and data[begin + 13] == _COLON and data[begin + 16] == _COLON
    if zone == 6:
        marks = marks and data[end - 3] == _COLON and _digits(data, end - 5, 2) == 0 and _digits(data, end - 2, 2) == 0
    fraction = np.int64(0)
    if places > 0:
        marks = marks and data[begin + 19] == _POINT
        fraction = _digits(data, begin + 20, places) * 10 ** (6 - places)
    year, month, day = _digits(data, begin, 4), _digits(data, begin + 5, 2), _digits(data, begin + 8, 2)
    hour, minute, second = _digits(data, begin + 11, 2), _digits(data, begin + 14, 2), _digits(data, begin + 17, 2)
    if not marks or year < 2000 or not 1 <= month <= 12 or not 1 <= day <= 28 + (month != 2) * 2 or fraction < 0:
        return np.int64(-1)  # the rare ends of months are left to the calendar
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        return np.int64(-1)
    of_march = (month + 9) % 12  # days since 1970 of the civil calendar, years beginning in March
    era_year = year - (month <= 2)
    days = 365 * era_year + era_year // 4 - era_year // 100 + era_year // 400 + (153 * of_march + 2) // 5 + day - 719_469
    return ((days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000 + fraction


@njit(**_BARE)
def _is(data, begin, end, text):
    """Whether a cell is this text."""
    same, k = end - begin == text.size, 0
    while same and k < text.size:
        same = data[begin + k] == text[k]
        k += 1
    return same


@njit(**_BARE)
def _is_name(data, begin, end):
    """Whether a cell may be the name of a symbol."""
    fits = 0 < end - begin <= 40
    for k in range(begin, end):
        fits = fits and 33 <= data[k] <= 126
    return fits


@njit(**_BARE)
def _number(data, at, code, row):
    """Read the cell of a column of numbers; return where it ends, and whether it is as it should be."""
    begin, good = at, True
    if code == _PRICE:
        row.price, at = _amount(data, at)
        good = row.price > 0
    elif code == _SIZE:
        row.size, at = _amount(data, at)
        good = row.size > 0
    elif code in (_ID, _NUMBER):
        row.trade_id, at = _integer(data, at)
        good = row.trade_id >= 0 and (code == _ID or at - begin <= 9)
    elif code == _TIME:
        time, at = _integer(data, at)
        row.ts = _us(time)
    elif code == _FIRST:
        row.first_fill, at = _integer(data, at)
        good = row.first_fill >= 0
    elif code == _LAST:
        row.last_fill, at = _integer(data, at)
        good = row.last_fill >= 0
    elif code == _RECEIVED:
        time, at = _integer(data, at)
        row.recv_ns = _ns(time)
        good = time >= 0
    else:
        value, places, at = _decimal(data, at, _EXACT)
        good = value >= 0 and (at - begin == 10 or (11 < at - begin <= 20 and data[begin + 10] == _POINT))
        row.ts = np.int64(np.rint(value / _TENS[places] * 1e6)) if good else np.int64(-1)
    return at, good


@njit(**_BARE)
def _word(data, at, code, symbol, row):
    """Read the cell of a column of words; return where it ends, whether it is as it should be, and of the symbol asked for."""
    begin, good, mine = at, True, True
    while data[at] != _COMMA and data[at] != _LF:
        at += 1
    end = at - (data[at] == _LF and at > begin and data[at - 1] == _CR)
    if code in (_SELLER, _SIDE):
        sold = _truth(data, begin, end) if code == _SELLER else _sold(data, begin, end)
        row.side, good = -1 if sold == _TRUE else 1, sold != _NEITHER
    elif code == _UUID:
        row.trade_id = _uuid(data, begin, end)
        good = row.trade_id >= 0
    elif code == _SYMBOL:
        mine = _is(data, begin, end, symbol)
        good = mine or _is_name(data, begin, end)
    elif code == _ISO:
        row.ts = _iso(data, begin, end)
    elif code == _BEST:
        good = _truth(data, begin, end) != _NEITHER
    return at, good, mine


@njit(**_BARE)
def _line(data, at, codes, symbol, row):
    """Read a line; return where it ends (behind its line feed), whether it is as it should be, and of the symbol asked for."""
    row.first_fill, row.last_fill, row.recv_ns, row.ts, row.kind, row.flags = -1, -1, 0, -1, 0, 0
    begin, last, good, mine = at, codes.size - 1, data[at] != _HASH, True
    for column in range(codes.size if good else 0):
        code = codes[column]
        if code >= _UNUSED:
            at, good, own = _word(data, at, code, symbol, row)
            mine = mine and own
        else:
            at, good = _number(data, at, code, row)
        if column == last and data[at] == _CR:
            at += 1
        good = good and data[at] == (_LF if column == last else _COMMA)
        if not good:
            break
        at += 1
    while at == begin or data[at - 1] != _LF:
        at += 1
    good = good and _EARLIEST <= row.ts < _LATEST and row.first_fill <= row.last_fill < row.first_fill + 2**31 - 1
    return at, good, mine


@njit(cache=True)
def read(data, codes, symbol, since, until, number, out, odd, before):
    """Read complete lines.

    Return how many were written, are odd and are of other symbols, the number of the next line, and the last time read.

    Parameters
    ----------
    data : uint8, (bytes,)
        Each line ends with a line feed.
    codes : int64, (columns,)
        `CODES` of the layout's columns.
    symbol : uint8, (length,)
        The one to take, where a column names it.
    since, until : int
        Trades of other times are left out.
    number : int
        Of the first line.
    out : LINE, (lines,)
    odd : int64, (lines, 4)
        Of each line that is not sure to be as it should be: begin, end (behind its line feed), number, and the time of the
        last line before it that was, `before` if there is none.
    before : int
    """
    written = odds = foreign = begin = 0
    numbered = np.any(codes == _NUMBER)
    while begin < data.size:
        row = out[written]
        end, good, mine = _line(data, begin, codes, symbol, row)
        row.frame = number
        if numbered:
            row.trade_id = row.ts // 1000 * 1000 + row.trade_id % 1000
        if not good:
            odd[odds, 0], odd[odds, 1], odd[odds, 2], odd[odds, 3] = begin, end, number, before
            odds += 1
        else:
            before = row.ts
            if not mine:
                foreign += 1
            elif since <= before < until:
                written += 1
        begin = end
        number += 1
    return written, odds, foreign, number, before


@njit(cache=True)
def to_rows(lines, instrument, rows):
    """Write lines as rows of the tape: LINE, (n,); int64, (n,); ROW, (n,), whatever is in it."""
    for k in range(lines.size):
        line, row = lines[k], rows[k]
        traded = line.kind == TRADE
        row.recv_ns, row.ts, row.trade_id = line.recv_ns, line.ts, line.trade_id
        row.price, row.size, row.contracts = line.price, line.size, np.nan
        row.first_fill, row.last_fill = line.first_fill, line.last_fill
        row.instrument = instrument[k]
        row.fills = line.last_fill - line.first_fill + 1 if line.first_fill >= 0 else traded
        row.span, row.frame, row.flags = 1, line.frame, line.flags
        row.side, row.kind, row.counted = line.side, line.kind, traded
        row.quoted, row.late, row.eff, row.seq, row.ticks, row.lots = False, 0, 0, 0, 0, 0
