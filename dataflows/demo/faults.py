"""Faults on request: what an exchange, a network or a clock may do to a feed.

| kind | value | effect |
|---|---|---|
| cut | seconds | sockets are torn down, new ones refused (503); REST goes on |
| stall | seconds | sockets open now send nothing, not even pongs; what they miss is lost to them |
| refuse | seconds | what a socket asks to subscribe to is refused with an error frame, and does not come |
| limit | seconds | new sockets and REST are answered 429, with Retry-After |
| ban | seconds | the same with 418 |
| forbid | seconds | the same with 403, without Retry-After |
| duplicates | count | the next trades are sent twice |
| resent | count | the next socket to subscribe to trades is sent that many of the past first |
| reorder | count | the next pairs of neighbours are swapped |
| missing | count | the next trades are not sent; REST has them |
| unfillable | count | the next trades are not sent, and REST lacks them too, until the exchange restarts |
| garbage | count | each of the next trades is followed by a frame made bad; the tape is whole without these |
| late | seconds | the next trade is sent that much later |
| skew | milliseconds | the exchange's clock is put forward, or back |
| cascade | bps | a generated minute, half a minute to a minute and a half later, is one of forced sales: the price falls so far |

Seconds are the wall clock's. Those on trades strike one trade stream, whichever sends first unless a symbol is named.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from dataflows.demo.tape import Frame

DEFAULTS = {
    "cut": ("seconds", 10.0),
    "stall": ("seconds", 10.0),
    "refuse": ("seconds", 10.0),
    "limit": ("seconds", 10.0),
    "ban": ("seconds", 10.0),
    "forbid": ("seconds", 10.0),
    "duplicates": ("count", 5.0),
    "resent": ("count", 100.0),
    "reorder": ("count", 5.0),
    "missing": ("count", 5.0),
    "unfillable": ("count", 5.0),
    "garbage": ("count", 15.0),
    "late": ("seconds", 5.0),
    "skew": ("milliseconds", 1300.0),
    "cascade": ("bps", 150.0),
}
"""The unit and default of each kind's value."""

LARGEST = 1e7
REFUSALS = {"limit": 429, "ban": 418, "forbid": 403}
"""The HTTP status of each kind that turns away whoever knocks."""

_SPEC = re.compile(r"([a-z]+)@(\d+(?:\.\d+)?)(?::(-?\d+(?:\.\d+)?))?(?::([A-Za-z0-9_-]+))?")


class Fault(NamedTuple):
    """A fault to come: `at` is when, in seconds from the start; `symbol` is native, or empty."""

    kind: str
    value: float
    at: float = 0.0
    symbol: str = ""


def unit(kind: str) -> str:
    """Return the unit of a kind's value; of an unknown kind, `value`."""
    return DEFAULTS.get(kind, ("value", 0.0))[0]


def fault(kind: str, value: float | None = None, at: float = 0.0, symbol: str = "") -> Fault:
    """Return a fault, its value by default that of `DEFAULTS`.

    Raises
    ------
    ValueError
        If the kind is unknown, or the value is one it cannot have.
    """
    if kind not in DEFAULTS:
        raise ValueError(f"unknown fault {kind!r}; use {', '.join(DEFAULTS)}")
    value = DEFAULTS[kind][1] if value is None else value
    least = -LARGEST if kind == "skew" else 1.0 if unit(kind) == "count" else 1e-3
    if not least <= value <= LARGEST:
        raise ValueError(f"fault {kind}: {unit(kind)} was {value:g}; use {least:g} to {LARGEST:g}")
    return Fault(kind, value, at, symbol.replace("-", "").upper())


def parse(text: str) -> Fault:
    """Read `kind@seconds[:value[:symbol]]`, like `cut@30`, `cut@30:10` or `missing@5:3:BTCUSDT`.

    Raises
    ------
    ValueError
        If it is not of that form, or as `fault`.
    """
    match = _SPEC.fullmatch(text)
    if match is None:
        raise ValueError(f"fault {text!r} is not like cut@30:10 (kind@seconds from the start[:value[:symbol]])")
    kind, at, value, symbol = match.groups()
    return fault(kind, None if value is None else float(value), float(at), symbol or "")


@dataclass
class _Strike:
    """A fault on trades under way: how many it is to strike and has struck, on which stream, the frame it holds back."""

    kind: str
    count: int
    wait: float
    native: str
    stream: str = ""
    struck: int = 0
    held: Frame | None = None


class Faults:
    """The faults scheduled and under way; `now` is always in seconds from the start.

    Attributes
    ----------
    until : dict of str to float
        When the faults end that last a while on the exchange as a whole, by kind.
    resent : int
        How many trades of the past the next socket is sent.
    lost : set of (str, int)
        Trades (native name, id) that REST lacks.
    """

    def __init__(self, scheduled: list[Fault]) -> None:
        self._scheduled = sorted(scheduled, key=lambda item: item.at)
        self._strikes: list[_Strike] = []
        self._late: list[tuple[float, str, Frame]] = []
        self.until: dict[str, float] = {}
        self.resent = 0
        self.lost: set[tuple[str, int]] = set()

    def due(self, now: float) -> list[Fault]:
        """Return, once, the scheduled faults whose time has come."""
        count = sum(item.at <= now for item in self._scheduled)
        due, self._scheduled = self._scheduled[:count], self._scheduled[count:]
        return due

    def lasts(self, kind: str, now: float) -> bool:
        """Say whether a fault that lasts a while is under way."""
        return now < self.until.get(kind, 0.0)

    def turned_away(self, now: float) -> tuple[int, int] | None:
        """Return the HTTP status that is answered to whoever knocks, and the seconds until that ends; None: they come in."""
        kind = next((kind for kind in REFUSALS if self.lasts(kind, now)), None)
        return None if kind is None else (REFUSALS[kind], math.ceil(self.until[kind] - now))

    def strike(self, item: Fault) -> None:
        """Begin a fault on trades."""
        once = item.kind == "late"
        self._strikes.append(_Strike(item.kind, 1 if once else int(item.value), item.value if once else 0.0, item.symbol))

    def alter(self, stream: str, frames: list[Frame], now: float) -> list[Frame]:
        """Return what is sent of a stream's frames."""
        if not self._strikes and not self._late:
            return frames
        for strike in self._strikes if frames and frames[0].id >= 0 else ():
            native = stream.partition("@")[0].upper()
            strike.stream = strike.stream or (stream if strike.native in ("", native) else "")
            if strike.stream == stream:
                frames = [sent for frame in frames for sent in self._apply(strike, native, frame, now)]
        self._strikes = [strike for strike in self._strikes if strike.struck < strike.count]
        released = [frame for due, name, frame in self._late if name == stream and due <= now]
        self._late = [item for item in self._late if item[1] != stream or item[0] > now]
        return released + frames

    def _apply(self, strike: _Strike, native: str, frame: Frame, now: float) -> list[Frame]:
        if strike.struck == strike.count or frame.id < 0:
            return [frame]
        if strike.kind == "reorder" and strike.held is None:
            strike.held = frame
            return []
        strike.struck += 1
        match strike.kind:
            case "duplicates":
                return [frame, frame]
            case "reorder":
                held, strike.held = strike.held, None
                return [frame, held] if held else [frame]
            case "garbage":
                return [frame, GARBAGE[(strike.struck - 1) % len(GARBAGE)](str(frame.data))]
            case "late":
                self._late.append((now + strike.wait, strike.stream, frame))
            case "unfillable":
                self.lost.add((native, frame.id))
        return []


def _replaced(pattern: str, value: str) -> Callable[[str], Frame]:
    return lambda data: Frame(-1, re.sub(pattern, value, data, count=1))


def _forced_order(data: str) -> str:
    """Return a liquidation, of the instrument of a trade, on a side that there is not."""
    native = data.partition('"s":"')[2].partition('"')[0]
    order = f'{{"s":"{native}","S":"HOLD","o":"LIMIT","f":"IOC","q":"1","p":"1","ap":"1","X":"FILLED","l":"1","z":"1","T":1}}'
    return f'{{"stream":"{native.lower()}@forceOrder","data":{{"e":"forceOrder","E":1,"o":{order}}}}}'


GARBAGE: tuple[Callable[[str], Frame], ...] = (
    lambda _: Frame(-1, "this is no JSON {", bare=True),
    lambda data: Frame(-1, data[: len(data) // 2], bare=True),
    lambda _: Frame(-1, b"\xff\xfe\x00\x01", bare=True),
    _replaced(r'"e":"\w+"', '"e":"surprise"'),
    _replaced(r'"m":\w+', '"m":"surprise"'),
    lambda data: Frame(-1, _forced_order(data), bare=True),
    _replaced(r'"p":"[^"]*"', '"p":"0"'),
    _replaced(r'"p":"[^"]*"', '"p":"-1"'),
    _replaced(r'"p":"[^"]*"', '"p":"1e308"'),
    _replaced(r'"q":"[^"]*"', '"q":"1e308"'),
    _replaced(r'"q":"[^"]*"', '"q":"-1"'),
    _replaced(r'"q":"[^"]*"', '"q":"NaN"'),
    _replaced(r'"p":"[^"]*"', '"p":NaN'),
    _replaced(r'"p":"[^"]*",', ""),
    lambda data: Frame(-1, data[:-1] + ',"pad":"' + "x" * 10_000_000 + '"}'),
)
"""Ways to make a bad frame of a trade's data. The last is of 10 MB."""
