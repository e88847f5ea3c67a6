"""Holds the taker's side of trades against the best quotes that came before them: a mirrored side shows at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.feeds import QuoteRows
from pipelines.tape import TRADE, Rows


class Agreement(NamedTuple):
    """How many trades at or beyond a quote were told with the side of that quote.

    Attributes
    ----------
    agreed, disagreed : int
    between : int
        Trades between the quotes, or without a quote before them: they tell nothing.
    """

    agreed: int
    disagreed: int
    between: int

    @property
    def share(self) -> float | None:
        """Share of those that tell something; None where none does."""
        told = self.agreed + self.disagreed
        return self.agreed / told if told else None


def agreement(trades: Rows, quotes: QuoteRows) -> Agreement:
    """Compare trades with the quote that came last before them.

    Parameters
    ----------
    trades : Rows
        Of one instrument, as decoded; `frame` orders them among the quotes. Trades that do not count are left out.
    quotes : array of feeds.QUOTE
        Of the same instrument and batch of frames.
    """
    trades = trades[(trades["kind"] == TRADE) & trades["counted"]]
    last = np.searchsorted(quotes["frame"], trades["frame"]) - 1
    trades, last = trades[last >= 0], last[last >= 0]
    before = quotes[last]
    price: npt.NDArray[np.float64] = trades["price"]
    at_ask = (before["ask"] > 0) & (price >= before["ask"])
    at_bid = (before["bid"] > 0) & (price <= before["bid"])
    told = at_ask != at_bid
    bought = trades["side"] > 0
    agreed = int((told & (bought == at_ask)).sum())
    disagreed = int(told.sum()) - agreed
    return Agreement(agreed, disagreed, int(trades.size) - agreed - disagreed)
