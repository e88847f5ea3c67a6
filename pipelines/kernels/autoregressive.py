"""A series in which each value is a share of the one before, and news: the moods of a made-up market."""

from __future__ import annotations

from numba import njit


@njit(cache=True)
def autoregressive(news, lasting):
    """Make of `news`, float64 (n,), in place, x_k = lasting x_(k-1) + news_k."""
    for k in range(1, news.size):
        news[k] += lasting * news[k - 1]
