"""Binance's best bid and ask (`bookTicker`). Spot's carry no time and name no event type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct, field

from pipelines.tape import Fault
from pipelines.venues.binance_frames import Name, unwrap
from pipelines.venues.columns import MAX_ID, UNREADABLE, decimals, microseconds

QUOTE: Final = np.dtype(
    [
        ("ts", np.int64),  # match time, us since 1970; 0: the venue sends none
        ("update_id", np.int64),
        ("bid", np.float64),  # quote per base; 0: no order on that side
        ("bid_size", np.float64),  # base
        ("ask", np.float64),
        ("ask_size", np.float64),
        ("instrument", np.int32),  # index into `Quotes.symbols`
        ("frame", np.int32),
    ]
)


class Quotes(NamedTuple):
    """The best quotes in a batch of frames.

    Attributes
    ----------
    rows : array of `QUOTE`
    symbols : list of str
        The venue's own names that occur.
    faults : list of Fault
        Quotes that were refused. Frames that bear no quote are left to `decode`.
    """

    rows: npt.NDArray[np.void]
    symbols: list[str]
    faults: list[Fault]


class _Quote(Struct, gc=False):
    symbol: Name = field(name="s")
    update_id: Annotated[int, Meta(ge=0, le=MAX_ID)] = field(name="u")
    bid: str = field(name="b")
    bid_size: str = field(name="B")
    ask: str = field(name="a")
    ask_size: str = field(name="A")
    time: Annotated[int, Meta(ge=0, le=MAX_ID)] = field(name="T", default=0)
    event: Literal["bookTicker"] = field(name="e", default="bookTicker")


class _Frame(Struct, gc=False):
    data: _Quote


_frame = msgspec.json.Decoder(_Frame)


def decode_quotes(frames: Sequence[bytes | memoryview]) -> Quotes:
    """Read the best quotes in a batch of frames, wrapped or raw; prices and sizes may be 0."""
    quotes: list[_Quote] = []
    at: list[int] = []
    faults: list[Fault] = []
    for i, frame in enumerate(frames):
        try:
            quote: _Quote | Fault | None = _frame.decode(frame).data
        except UNREADABLE:
            quote = _look_closer(i, bytes(frame))
        if isinstance(quote, _Quote):
            quotes.append(quote)
            at.append(i)
        elif quote:
            faults.append(quote)
    rows = np.zeros(len(quotes), QUOTE)
    index = {name: k for k, name in enumerate(dict.fromkeys(q.symbol for q in quotes))}
    rows["frame"] = at
    rows["instrument"] = [index[q.symbol] for q in quotes]
    rows["update_id"] = [q.update_id for q in quotes]
    rows["ts"] = microseconds(np.array([q.time for q in quotes], np.int64))
    reasons: dict[int, str] = {}
    for name in ("ask_size", "ask", "bid_size", "bid"):
        rows[name], wrong = decimals([getattr(q, name) for q in quotes], name.replace("_", " "), zero=True)
        reasons |= wrong
    faults += [Fault(at[k], reason, quotes[k].symbol) for k, reason in reasons.items()]
    return Quotes(np.delete(rows, list(reasons)), list(index), sorted(faults))


def _look_closer(i: int, frame: bytes) -> _Quote | Fault | None:
    """Return the quote in a frame of unusual form, None if it bears none, or its fault."""
    try:
        event: Any = unwrap(frame)
    except ValueError:
        return None
    if not isinstance(event, dict) or not (event.get("e") == "bookTicker" or _is_nameless(event)):
        return None
    try:
        return msgspec.convert(event, _Quote)
    except UNREADABLE as error:
        return Fault(i, f"bookTicker was malformed: {error}")


def _is_nameless(event: dict[str, Any]) -> bool:
    return "e" not in event and {"u", "s", "b", "a"} <= event.keys()
