"""Rules that make events from prices: what an alert is held against.

A rule is a line of text, `<rule>:<percent>%/<span>`, so that it can be fixed before anything is scored. Closes of minutes
are all it sees. To add one: a class as `Rule` says, and its name in `RULES`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipelines.kernels import lee_mykland
from pipelines.market import DAY_US

MINUTE_US = 60_000_000
FIVE_US = 5 * MINUTE_US
UNITS_US = {"d": DAY_US, "h": 60 * MINUTE_US, "m": MINUTE_US, "s": 1_000_000}

_RULE = re.compile(r"(\w+):(\d+(?:\.\d+)?)%/(\w+)")
_NEARLY = 1 - 1e-9  # a move of exactly the least size counts, however its ratio is rounded

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class RuleError(ValueError):
    """An event rule or a span of time that cannot be read; the message says how it is written."""


class Minutes(NamedTuple):
    """Closes of minutes in a row, the last close standing where nobody traded; `ends` in us."""

    ends: Ints
    closes: Floats


class Rule(Protocol):
    """What counts as an event.

    Attributes
    ----------
    share : float
        What the percent stand for: see each rule.
    within_us : int
        The longest an event may take, us.
    warm_up_us : int
        How long prices must be known before an event can be told, us.
    """

    @property
    def share(self) -> float: ...  # noqa: D102 - said above
    @property
    def within_us(self) -> int: ...  # noqa: D102 - said above
    @property
    def warm_up_us(self) -> int: ...  # noqa: D102 - said above

    def find(self, watched: list[Minutes]) -> Iterator[tuple[int, int]]:
        """Yield (start, end) of each event of an instrument, us, in order of time and one after the other.

        All of an event happens after `start`, and at `end` it is complete.
        """


class Move(NamedTuple):
    """A move of the close, up or down, by at least a share within a span.

    It ends with the first close that is so far from an earlier one, and starts with the latest such: an alert at the
    start had the whole move before it, an alert a minute later had not. The next move starts at or after its end.
    """

    share: float
    within_us: int

    @property
    def warm_up_us(self) -> int:
        """See `Rule`."""
        return 0

    def find(self, watched: list[Minutes]) -> Iterator[tuple[int, int]]:
        """Yield the moves; see `Rule`."""
        for ends, closes in watched:
            since = self._latest(closes)
            over = 0
            for i in np.flatnonzero(since >= 0).tolist():
                if since[i] >= over:
                    over = i
                    yield int(ends[since[i]]), int(ends[i])

    def _latest(self, closes: Floats) -> Ints:
        """Return, for each close, the place of the latest earlier one that is far enough from it; -1: none is."""
        latest = np.full(closes.size, -1)
        for k in range(1, min(self.within_us // MINUTE_US, closes.size - 1) + 1):
            far = np.abs(closes[k:] / closes[:-k] - 1) >= self.share * _NEARLY
            first = np.flatnonzero(far & (latest[k:] < 0))
            latest[first + k] = first
        return latest


class Volatile(NamedTuple):
    """Spans of the UTC day whose realised volatility is in the top share of those watched.

    Of spans next to each other only the first is an event. It takes the whole span, so an alert in time is one before it.
    """

    share: float
    within_us: int

    @property
    def warm_up_us(self) -> int:
        """See `Rule`."""
        return 0

    def find(self, watched: list[Minutes]) -> Iterator[tuple[int, int]]:
        """Yield the spans; see `Rule`."""
        parts = [self._spans(minutes) for minutes in watched]
        starts = np.concatenate([np.empty(0, np.int64), *(s for s, _ in parts)])
        variances = np.concatenate([np.empty(0), *(v for _, v in parts)])
        top = int(self.share * variances.size)
        if top == 0:
            return
        high = starts[variances > np.sort(variances)[-top - 1]]
        before = -self.within_us
        for start in high.tolist():
            if start - before > self.within_us:
                yield start, start + self.within_us
            before = start

    def _spans(self, minutes: Minutes) -> tuple[Ints, Floats]:
        """Return start (us) and realised variance of each whole span."""
        n = self.within_us // MINUTE_US
        first = -minutes.ends[0] // MINUTE_US % n
        squares = np.diff(np.log(minutes.closes[first:])) ** 2
        squares = squares[: squares.size // n * n].reshape(-1, n)
        return minutes.ends[first::n][: len(squares)], squares.sum(axis=1)


class Jump(NamedTuple):
    """Returns of five minutes that are jumps by the test of Lee and Mykland, `share` the chance of a false one in a day.

    The test looks at the 324 returns before, a day and three hours of them.
    """

    share: float
    within_us: int

    @property
    def warm_up_us(self) -> int:
        """See `Rule`."""
        return lee_mykland.K * FIVE_US

    def find(self, watched: list[Minutes]) -> Iterator[tuple[int, int]]:
        """Yield the jumps; see `Rule`."""
        limit = lee_mykland.C - lee_mykland.S * math.log(-math.log(1 - self.share))
        for ends, closes in watched:
            fifth = ends % FIVE_US == 0
            returns = np.diff(np.log(closes[fifth]))
            for end, last in zip(ends[fifth][lee_mykland.K :], range(lee_mykland.K, returns.size + 1), strict=True):
                if abs(lee_mykland.lee_mykland(returns[last - lee_mykland.K : last])) > limit:
                    yield int(end) - FIVE_US, int(end)


RULES: dict[str, type[Move | Volatile | Jump]] = {"move": Move, "rv": Volatile, "jump": Jump}


def parse(text: str) -> Rule:
    """Return the rule that a text like `move:1%/10m` stands for.

    Raises
    ------
    RuleError
        If it stands for none.
    """
    found = _RULE.fullmatch(text.strip())
    if not found or found[1] not in RULES:
        raise RuleError(f"{text!r} is no event rule; write move:1%/10m, rv:5%/10m or jump:1%/5m")
    share, within = float(found[2]) / 100, span_us(found[3])
    if not 0 < share < 1:
        raise RuleError(f"{text!r}: the share lies between 0% and 100%")
    if within % MINUTE_US or not MINUTE_US <= within <= DAY_US:
        raise RuleError(f"{text!r}: the span is one of whole minutes, up to a day")
    if found[1] == "rv" and DAY_US % within:
        raise RuleError(f"{text!r}: a day holds no whole number of these spans")
    if found[1] == "jump" and within != FIVE_US:
        raise RuleError(f"{text!r}: jumps are those of five minutes; write 5m")
    return RULES[found[1]](share, within)


def foretold(event: str, horizon: str) -> tuple[Rule, int]:
    """Return the rule of an event, and the span (us) before it in which an alert may come.

    Raises
    ------
    RuleError
        If either stands for none, or the span is shorter than the event may take.
    """
    rule, span = parse(event), span_us(horizon)
    if span < rule.within_us:
        raise RuleError(f"the horizon ({horizon}) is shorter than an event of {name(rule)} may take")
    return rule, span


def name(rule: Rule) -> str:
    """Return the text of a rule, the same for rules that are the same."""
    kind = next(kind for kind, made in RULES.items() if isinstance(rule, made))
    return f"{kind}:{100 * rule.share:g}%/{span_text(rule.within_us)}"


def span_us(text: str) -> int:
    """Return a span like `10m`, `1h`, `2d` or `90s` in microseconds.

    Raises
    ------
    RuleError
        If it is none.
    """
    found = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    if not found or int(found[1]) == 0:
        raise RuleError(f"{text!r} is no span of time; write 90s, 10m, 1h or 2d")
    return int(found[1]) * UNITS_US[found[2]]


def span_text(us: int) -> str:
    """Return a span of whole seconds as `span_us` reads it, in its largest unit."""
    unit = next(u for u, size in UNITS_US.items() if us % size == 0)
    return f"{us // UNITS_US[unit]}{unit}"
