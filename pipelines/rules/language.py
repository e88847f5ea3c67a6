"""The language of conditions: numbers, metrics, + - * /, comparisons, and, or, not, abs, min, max; nothing else.

    mom_bps_5m > 50 and abs(trade_imbalance_5m) >= 0.6
    mom_bps_5m - m("ETH-USDT-PERP", "mom_bps_5m") > 30

`m(symbol, metric)` is a metric of another instrument at the same venue, `m(venue, symbol, metric)` at any. A text is
read by a parser of our own into a tree and never run as a program; its length and depth are bounded.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from pipelines.rules.conditions import COMPARISONS, Call, Metric, Negative, Node, Not, Number, Pair
from pipelines.rules.metrics import METRICS, Kind
from pipelines.settings import VENUES

LONGEST: Final = 10_000
"""Characters of a condition."""
MOST: Final = 200
"""Words and signs of a condition."""
DEEPEST: Final = 20
"""Brackets within brackets."""
FUNCTIONS: Final = {"abs": 1, "min": 2, "max": 2}
"""The fewest arguments of each; abs takes no more."""

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<text>\"[^\"\n]*\"|'[^'\n]*')|(?P<sign>>=|<=|==|!=|[-><+*/(),])|(?P<space>\s+)"
)
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:.-]{0,39}")
_INSTEAD = {"=": "==", "&": "and", "|": "or", "!": "not", "^": "*"}


class Wrong(NamedTuple):
    """A fault: the place in the text, from 0, and what is wrong with what to do about it."""

    at: int
    what: str


class ExpressionError(ValueError):
    """A text that is no condition; `faults` are those found."""

    def __init__(self, faults: list[Wrong]) -> None:
        super().__init__("; ".join(f"column {fault.at + 1}: {fault.what}" for fault in faults))
        self.faults = faults


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(text: str) -> Node:
    """Read a condition.

    Raises
    ------
    ExpressionError
        If it is none, or speaks of metrics that do not exist.
    """
    if len(text) > LONGEST:
        raise ExpressionError([Wrong(LONGEST, f"longer than {LONGEST:,} characters; make several rules of it")])
    return _Parser(_tokens(text)).whole()


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            sign = text[at]
            instead = f"; did you mean {_INSTEAD[sign]}?" if sign in _INSTEAD else ""
            known = "numbers, metrics, + - * /, > >= < <= == !=, and, or, not, abs, min, max, m"
            raise ExpressionError([Wrong(at, f"{sign!r} is no part of a condition" + (instead or f"; use {known}"))])
        if match.lastgroup != "space":
            tokens.append(_Token(str(match.lastgroup), match[0], at))
        at = match.end()
    if len(tokens) > MOST:
        raise ExpressionError([Wrong(tokens[MOST].at, f"more than {MOST} words and signs; make several rules of it")])
    return [*tokens, _Token("end", "", len(text))]


class _Parser:
    """Reads tokens by recursive descent; each method returns what it read and whether it is a number or a condition."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.next = 0
        self.depth = 0
        self.faults: list[Wrong] = []

    def whole(self) -> Node:
        """Read everything."""
        node, kind = self.either()
        rest = self.tokens[self.next]
        if rest.kind != "end":
            raise ExpressionError([*self.faults, Wrong(rest.at, f"{rest.text!r} cannot follow; an operator or the end should")])
        self.expect("condition", kind, self.tokens[0], "a rule is a condition, like rvol_1m > 3")
        if self.faults:
            raise ExpressionError(self.faults)
        return node

    def either(self) -> tuple[Node, Kind | None]:
        return self.logic("or", lambda: self.logic("and", self.contrary))

    def logic(self, word: str, part: Callable[[], tuple[Node, Kind | None]]) -> tuple[Node, Kind | None]:
        """Read parts joined by `word`."""
        first = self.tokens[self.next]
        node, kind = part()
        while self.takes(word):
            self.expect("condition", kind, first, f"`{word}` joins conditions, like rvol_1m > 3")
            first = self.tokens[self.next]
            right, of_right = part()
            self.expect("condition", of_right, first, f"`{word}` joins conditions, like rvol_1m > 3")
            node, kind = Pair(word, node, right), "condition"
        return node, kind

    def contrary(self) -> tuple[Node, Kind | None]:
        if not self.takes("not"):
            return self.comparison()
        first = self.tokens[self.next]
        node, kind = self.deeper(self.contrary)
        self.expect("condition", kind, first, "`not` goes with a condition, like rvol_1m > 3")
        return Not(node), "condition"

    def comparison(self) -> tuple[Node, Kind | None]:
        first = self.tokens[self.next]
        node, kind = self.arithmetic("+-", lambda: self.arithmetic("*/", self.factor))
        sign = self.tokens[self.next]
        if sign.text not in COMPARISONS:
            return node, kind
        self.next += 1
        self.expect("number", kind, first, f"`{sign.text}` compares numbers")
        first = self.tokens[self.next]
        right, of_right = self.arithmetic("+-", lambda: self.arithmetic("*/", self.factor))
        self.expect("number", of_right, first, f"`{sign.text}` compares numbers")
        second = self.tokens[self.next]
        if second.text in COMPARISONS:
            raise ExpressionError([*self.faults, Wrong(second.at, "comparisons cannot follow each other; join two by `and`")])
        return Pair(sign.text, node, right), "condition"

    def arithmetic(self, signs: str, part: Callable[[], tuple[Node, Kind | None]]) -> tuple[Node, Kind | None]:
        """Read parts joined by any of `signs`."""
        first = self.tokens[self.next]
        node, kind = part()
        while (sign := self.tokens[self.next]).kind == "sign" and sign.text in signs:
            self.next += 1
            self.expect("number", kind, first, f"`{sign.text}` takes numbers")
            first = self.tokens[self.next]
            right, of_right = part()
            self.expect("number", of_right, first, f"`{sign.text}` takes numbers")
            node, kind = Pair(sign.text, node, right), "number"
        return node, kind

    def factor(self) -> tuple[Node, Kind | None]:
        token = self.tokens[self.next]
        self.next += token.kind != "end"
        if token.text == "-":
            first = self.tokens[self.next]
            node, kind = self.deeper(self.factor)
            self.expect("number", kind, first, "`-` takes numbers")
            return Negative(node), "number"
        if token.text == "(":
            node, kind = self.deeper(self.either)
            self.close()
            return node, kind
        if token.kind == "number":
            return Number(self.finite(token)), "number"
        if token.kind == "name" and token.text not in ("and", "or", "not"):
            return self.called(token) if self.tokens[self.next].text == "(" else self.metric(token, token.text)
        found = repr(token.text) if token.text else "the end"
        raise ExpressionError([*self.faults, Wrong(token.at, f"{found} where a number or a metric should be")])

    def finite(self, token: _Token) -> float:
        value = float(token.text)
        if math.isinf(value):
            self.faults.append(Wrong(token.at, f"{token.text} is too large a number"))
        return value

    def called(self, token: _Token) -> tuple[Node, Kind | None]:
        """Read a function's arguments."""
        if token.text == "m":
            return self.elsewhere(token)
        if token.text not in FUNCTIONS:
            near = f"; did you mean {close}?" if (close := _near(token.text, [*FUNCTIONS, "m"])) else ""
            raise ExpressionError(
                [*self.faults, Wrong(token.at, f"there is no function {token.text}{near or '; use abs, min, max, m'}")]
            )
        self.next += 1
        of: list[Node] = []
        while not of or self.takes(","):
            first = self.tokens[self.next]
            node, kind = self.deeper(self.either)
            self.expect("number", kind, first, f"{token.text} takes numbers")
            of.append(node)
        self.close()
        if len(of) < FUNCTIONS[token.text] or (token.text == "abs" and len(of) > 1):
            wanted = "one number" if token.text == "abs" else "two numbers or more"
            self.faults.append(Wrong(token.at, f"{token.text} takes {wanted}"))
        return Call(token.text, tuple(of)), "number"

    def elsewhere(self, token: _Token) -> tuple[Node, Kind | None]:
        """Read a metric of another instrument."""
        self.next += 1
        words: list[_Token] = []
        while not words or self.takes(","):
            word = self.tokens[self.next]
            if word.kind != "text":
                form = 'm("BTC-USDT", "mom_bps_5m"), or with the venue first'
                raise ExpressionError([*self.faults, Wrong(word.at, f"m takes words in quotes, like {form}")])
            words.append(word)
            self.next += 1
        self.close()
        if len(words) not in (2, 3):
            raise ExpressionError([*self.faults, Wrong(token.at, 'm takes a symbol and a metric, like m("BTC-USDT", "pct")')])
        if not _SYMBOL.fullmatch(words[-2].text[1:-1]):
            self.faults.append(Wrong(words[-2].at, f"{words[-2].text} is no symbol; write one like BTC-USDT"))
        venue = words[0].text[1:-1] if len(words) == 3 else ""
        if venue not in ("", *VENUES):
            near = f"; did you mean {close}?" if (close := _near(venue, VENUES)) else f"; use {', '.join(VENUES)}"
            self.faults.append(Wrong(words[0].at, f"there is no venue {venue}{near}"))
        return self.metric(words[-1], words[-1].text.strip("\"'"), words[-2].text[1:-1], venue)

    def metric(self, token: _Token, name: str, symbol: str = "", venue: str = "") -> tuple[Node, Kind | None]:
        if name not in METRICS:
            near = (
                f"; did you mean {close}?" if (close := _near(name, METRICS)) else "; `tapeflow rules list --metrics` names them"
            )
            self.faults.append(Wrong(token.at, f"there is no metric {name}{near}"))
        return Metric(name, symbol, venue), METRICS.get(name)

    def deeper(self, part: Callable[[], tuple[Node, Kind | None]]) -> tuple[Node, Kind | None]:
        self.depth += 1
        if self.depth > DEEPEST:
            at = self.tokens[self.next].at
            raise ExpressionError(
                [*self.faults, Wrong(at, f"more than {DEEPEST} brackets within brackets; make several rules of it")]
            )
        found = part()
        self.depth -= 1
        return found

    def takes(self, text: str) -> bool:
        """Go on if the next token is `text`."""
        token = self.tokens[self.next]
        found = token.text == text and token.kind in ("name", "sign")
        self.next += found
        return found

    def close(self) -> None:
        token = self.tokens[self.next]
        if not self.takes(")"):
            raise ExpressionError([*self.faults, Wrong(token.at, f"`)` should be here, not {token.text or 'the end'}")])

    def expect(self, wanted: Kind, kind: Kind | None, token: _Token, why: str) -> None:
        """Note a fault where `kind` is the other one; of an unknown metric (None) nothing is known."""
        if kind is not None and kind != wanted:
            self.faults.append(Wrong(token.at, f"{why}; this is a {kind}"))


def _near(word: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(word[:40], list(known), 1)), "")
