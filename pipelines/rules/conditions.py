"""Conditions as trees: written as text, and held against values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

COMPARISONS: Final = (">", ">=", "<", "<=", "==", "!=")


@dataclass(frozen=True, slots=True)
class Number:
    """A number written down."""

    value: float


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric, of the rule's own instrument where `symbol` is empty, at its own venue where `venue` is."""

    name: str
    symbol: str = ""
    venue: str = ""


@dataclass(frozen=True, slots=True)
class Negative:
    """A number with its sign changed."""

    of: Node


@dataclass(frozen=True, slots=True)
class Not:
    """The contrary of a condition."""

    of: Node


@dataclass(frozen=True, slots=True)
class Pair:
    """Two things joined by a sign: arithmetic, a comparison, `and` or `or`."""

    sign: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function of numbers."""

    name: str
    of: tuple[Node, ...]


Node = Number | Metric | Negative | Not | Pair | Call


_STRENGTH: Final = {"or": 1, "and": 2, **dict.fromkeys(COMPARISONS, 4), "+": 5, "-": 5, "*": 6, "/": 6}


def write(node: Node) -> str:
    """Return a condition as text, with no more brackets than it needs; `language.parse` of it is the same condition."""
    return _written(node)[0]


def _written(node: Node) -> tuple[str, int]:
    """Return the text, and how strongly it holds together."""
    match node:
        case Number(value):
            return (repr(int(value)) if value == int(value) and value < 1e15 else repr(value)), 9
        case Metric(name, symbol, venue):
            words = ", ".join(f'"{word}"' for word in (venue, symbol, name) if word)
            return (f"m({words})" if symbol else name), 9
        case Call(name, of):
            return f"{name}({', '.join(map(write, of))})", 9
        case Negative(of):
            return f"-{_within(of, 7)}", 7
        case Not(of):
            return f"not {_within(of, 3)}", 3
        case Pair(sign, left, right):
            mine = _STRENGTH[sign]
            return f"{_within(left, mine + (mine == 4))} {sign} {_within(right, mine + 1)}", mine


def _within(node: Node, least: int) -> str:
    text, strength = _written(node)
    return text if strength >= least else f"({text})"


def metrics(node: Node) -> Iterator[Metric]:
    """Yield every metric that is named, in order of reading."""
    match node:
        case Metric():
            yield node
        case Negative(of) | Not(of):
            yield from metrics(of)
        case Pair(_, left, right):
            yield from metrics(left)
            yield from metrics(right)
        case Call(_, of):
            for part in of:
                yield from metrics(part)


def comparison(node: Node) -> Pair | None:
    """Return the first comparison in order of reading; None where there is none."""
    match node:
        case Pair(sign) if sign in COMPARISONS:
            return node
        case Pair("and" | "or", left, right):
            return comparison(left) or comparison(right)
        case Not(of):
            return comparison(of)
    return None


Look = Callable[[Metric], float]


def holds(node: Node, look: Look) -> bool:
    """Tell whether a condition holds; `look` gives the value of a metric (1 or 0 where it is true or false).

    Raises
    ------
    ArithmeticError
        If a number in it is not defined: a division by zero, a result that is not finite.
    """
    match node:
        case Pair("and", left, right):
            return holds(left, look) and holds(right, look)
        case Pair("or", left, right):
            return holds(left, look) or holds(right, look)
        case Not(of):
            return not holds(of, look)
        case Pair(sign, left, right):
            return _compare(sign, number(left, look), number(right, look))
    return number(node, look) != 0


def _compare(sign: str, a: float, b: float) -> bool:
    match sign:
        case ">":
            return a > b
        case ">=":
            return a >= b
        case "<":
            return a < b
        case "<=":
            return a <= b
        case "==":
            return a == b
    return a != b


def number(node: Node, look: Look) -> float:
    """Return the value of a number.

    Raises
    ------
    ArithmeticError
        If it is not defined.
    """
    match node:
        case Number(value):
            return value
        case Metric():
            return look(node)
        case Negative(of):
            return -number(of, look)
        case Call("abs", of):
            return abs(number(of[0], look))
        case Call(name, of):
            values = [number(part, look) for part in of]
            return min(values) if name == "min" else max(values)
        case Pair(sign, left, right):
            value = _calculate(sign, number(left, look), number(right, look))
            if math.isfinite(value):
                return value
    raise ArithmeticError("not defined")


def _calculate(sign: str, a: float, b: float) -> float:
    match sign:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
    return a / b
