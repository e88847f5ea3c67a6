"""Sides of trades held against quotes: with match times, and in order of receipt."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.aggressor import WINDOW, agreement
from pipelines.feeds import QUOTE, QuoteRows
from pipelines.tape import Rows, empty

MS = 1_000


def trades(*rows: tuple[int, int, float, int]) -> Rows:
    """Return trades of (frame, ts, price, side)."""
    made = empty(len(rows))
    for name, column in zip(("frame", "ts", "price", "side"), zip(*rows, strict=True), strict=True):
        made[name] = column
    return made


def quotes(*rows: tuple[int, int, float, float]) -> QuoteRows:
    """Return quotes of (frame, ts, bid, ask)."""
    made = np.zeros(len(rows), QUOTE)
    for name, column in zip(("frame", "ts", "bid", "ask"), zip(*rows, strict=True), strict=True):
        made[name] = column
    return made


def test_a_trade_is_held_against_the_quote_older_than_it_even_if_a_newer_one_came_first() -> None:
    # The buyer took the ask at 11; what was left, 11 bid and 12 asked, was sent before the trade.
    met, left = (0, 5 * MS, 10.0, 11.0), (1, 7 * MS, 11.0, 12.0)
    buy = trades((2, 7 * MS, 11.0, 1))
    assert agreement(buy, quotes(met, left)) == (1, 0, 0)
    buy["side"] = -1
    assert agreement(buy, quotes(met, left)) == (0, 1, 0)


def test_without_times_a_trade_within_the_last_quotes_tells_nothing() -> None:
    met, left = (0, 0, 10.0, 11.0), (1, 0, 11.0, 12.0)
    assert agreement(trades((2, 7 * MS, 11.0, 1)), quotes(met, left)) == (0, 0, 1)
    assert agreement(trades((2, 7 * MS, 12.0, 1), (3, 7 * MS, 10.0, 1)), quotes(met, left)) == (1, 1, 0)
    later = [(k, 0, 11.0, 12.0) for k in range(1, WINDOW + 1)]
    assert agreement(trades((WINDOW + 1, 7 * MS, 11.0, -1)), quotes(met, *later)) == (1, 0, 0)


@pytest.mark.parametrize("ts", [0, 5 * MS])
def test_a_side_without_orders_and_trades_before_any_quote_tell_nothing(ts: int) -> None:
    empty_ask = quotes((1, ts, 10.0, 0.0))
    assert agreement(trades((0, 1 * MS, 9.0, -1), (2, 6 * MS, 50.0, 1), (3, 6 * MS, 10.0, -1)), empty_ask) == (1, 0, 1)
    assert agreement(trades((0, 1 * MS, 9.0, -1)), quotes((1, ts, 10.0, 11.0))[:0]).share is None


def test_trades_that_do_not_count_are_left_out() -> None:
    off_book = trades((1, 6 * MS, 50.0, -1))
    off_book["counted"] = False
    assert agreement(off_book, quotes((0, 5 * MS, 10.0, 11.0))) == (0, 0, 0)
