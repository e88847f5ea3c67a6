"""Holds the taker's side of trades against the best quotes that came before them: a mirrored side shows at once."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from pipelines.feeds import QuoteRows
from pipelines.tape import TRADE, Rows

WINDOW: Final = 100
"""Quotes that a trade must lie outside of where they bear no times."""


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
    """Compare trades with the quotes that they met.

    A venue may send the quotes that a trade left behind before it sends the trade. So where quotes bear their match
    time, the last that is older than the trade counts; where they do not, the trade must lie at or beyond each of the
    last `WINDOW` that were received before it.

    Parameters
    ----------
    trades : Rows
        Of one instrument, as decoded; `frame` orders them among the quotes. Trades that do not count are left out.
    quotes : array of feeds.QUOTE
        Of the same instrument and batch of frames.
    """
    trades = trades[(trades["kind"] == TRADE) & trades["counted"]]
    if quotes["ts"].all():
        quotes = quotes[np.argsort(quotes["ts"], kind="stable")]
        last = np.searchsorted(quotes["ts"], trades["ts"]) - 1
        asks, bids = quotes["ask"], quotes["bid"]
    else:
        last = np.searchsorted(quotes["frame"], trades["frame"]) - 1
        asks, bids = _of_window(quotes["ask"], 0.0).max(axis=1), _of_window(quotes["bid"], np.inf).min(axis=1)
    trades, last = trades[last >= 0], last[last >= 0]
    price: npt.NDArray[np.float64] = trades["price"]
    at_ask = (asks[last] > 0) & (price >= asks[last])
    at_bid = (bids[last] > 0) & (price <= bids[last])
    told = at_ask != at_bid
    bought = trades["side"] > 0
    agreed = int((told & (bought == at_ask)).sum())
    disagreed = int(told.sum()) - agreed
    return Agreement(agreed, disagreed, int(trades.size) - agreed - disagreed)


def _of_window(values: npt.NDArray[np.float64], before: float) -> npt.NDArray[np.float64]:
    """Return for each value those of the window that it ends; `before` stands for what was before the first."""
    return sliding_window_view(np.concatenate([np.full(WINDOW - 1, before), values]), WINDOW)
