"""A fact: one value with all that is needed to make it again."""

from __future__ import annotations

import datetime as dt
import enum

import msgspec

Value = float | int | str | dt.datetime | None

MISSING = "not available"


class Unit(enum.StrEnum):
    """What a value counts, which says how it is shown."""

    SHARE = "share"  # 0.123 -> 12.3 %
    BPS = "bps"
    PRICE = "price"
    NOTIONAL = "notional"  # 1234567 -> 1.23M USDT
    SIZE = "size"
    COUNT = "count"
    RATIO = "ratio"  # 2.5 -> 2.5x
    SCORE = "score"  # a bare number: z, t, VPIN
    PERCENTILE = "percentile"  # 0.973 -> percentile 97.3
    SECONDS = "seconds"  # 5400 -> 1 h 30 min
    TIME = "time"
    WORD = "word"


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a brief.

    Attributes
    ----------
    id : str
        `F12`, within its brief.
    venue, symbol : str
        Whom it is about.
    name, label : str
        What was measured, for programs (`vpin_flag`) and for people (`VPIN`).
    value : float, int, str, datetime or None
        Exact; None is "not available", never 0.
    unit : Unit
    asset : str
        Currency of a price or notional, asset of a size.
    decimals : int
        Digits behind the point when shown.
    signed : bool
        Shown with + or -: a change, a return.
    span : str
        Time or count covered, like `1h`.
    n : int
        Rows behind it.
    measure : str
        The reduction of the rows to one value; see `measure`.
    query : str
        SQL for the rows, in order, none with `end` after `as_of`.
    rows_digest : str
    as_of : datetime
    sealed : bool
    """

    id: str
    venue: str
    symbol: str
    name: str
    label: str
    value: Value
    unit: Unit
    asset: str = ""
    decimals: int = 0
    signed: bool = False
    span: str = ""
    n: int = 0
    measure: str = "last"
    query: str = ""
    rows_digest: str = ""
    as_of: dt.datetime
    sealed: bool = False
