"""Wider time bars from narrower ones, to the bit as if made from trades: integers are added, never stored figures."""

from __future__ import annotations

import numpy as np

from pipelines.kernels import time_bars
from pipelines.kernels.bar import BAR, Bars


def rolled(bars: Bars, width: int) -> Bars:
    """Return bars of `width` us that hold all of `bars`.

    Parameters
    ----------
    bars : Bars
        Time bars of one width, in time order per instrument, all at the same steps of price and size.
    width : int
        Any multiple of their width, us. Bar k covers [k width, (k + 1) width) since 1970.

    Returns
    -------
    Bars
        In the order in which they begin, by instrument.

    Raises
    ------
    ValueError
        If a bar has another width than the first, or one that does not divide `width`.
    """
    if not bars.size:
        return bars
    narrow = int(bars["end"][0] - bars["ts"][0])
    if (bars["end"] - bars["ts"] != narrow).any() or narrow <= 0 or width % narrow:
        raise ValueError(f"bars of {narrow} us cannot be rolled up into bars of {width} us")
    out = np.empty(bars.size, BAR)
    wide = out[: time_bars.rolled(bars, int(bars["instrument"].max()) + 1, width, out)]
    return wide[np.lexsort((wide["ts"], wide["instrument"]))]
