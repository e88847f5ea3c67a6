"""The tape in memory: one structured array of rows, the same from decoder to kernels.

A row is a trade, or something that takes a trade's place in the order: a clock tick (a heartbeat, which may close
bars) or a void (an id that is used up but bears no trade that can be kept, such as one of zero price). A mark asks for
the venue's time at a frame without trades; it is on no tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.feeds import NO_QUOTES, Depth, Funding, Liquidation, QuoteRows

TRADE: Final = 0
CLOCK: Final = 1
VOID: Final = 2
MARK: Final = 3

ROW = np.dtype(
    [
        ("recv_ns", np.int64),  # receipt, ns since 1970; 0: unknown
        ("ts", np.int64),  # match time, us since 1970; of a clock tick, the venue's time (receipt less offset)
        ("trade_id", np.int64),
        ("price", np.float64),  # quote per base, the nearest double of the text
        ("size", np.float64),  # base
        ("contracts", np.float64),  # NaN: the venue does not count in contracts
        ("first_fill", np.int64),  # -1: none
        ("last_fill", np.int64),
        ("instrument", np.int32),  # index into the list of instruments; from a decoder, into `Decoded.symbols`
        ("fills", np.int32),
        ("span", np.int32),  # ids it uses up: trade_id - span + 1 to trade_id
        ("frame", np.int32),  # which frame of the batch it came from; of an archive, the line
        ("flags", np.int32),  # market.Flag
        ("side", np.int8),  # +1 buyer is taker, -1 seller
        ("kind", np.int8),  # TRADE, CLOCK, VOID or MARK
        # set on the way, not by decoders:
        ("counted", np.bool_),
        ("quoted", np.bool_),  # a quote of its date stood when it was received
        ("late", np.int16),  # bit k: its own k-th time bar (market.BAR_WIDTHS_US) had been closed by the clock
        ("eff", np.int64),  # event time as kernels see it: never falls, us
        ("seq", np.int64),
        ("ticks", np.int64),  # price in units of 10**-price exponent of the instrument
        ("lots", np.int64),  # size in units of 10**-size exponent of the instrument
    ],
    align=True,
)

Rows = npt.NDArray[np.void]
"""An array of `ROW`."""


def empty(n: int) -> Rows:
    """Return `n` rows of kind TRADE with neutral values (no fills, no contracts, counted)."""
    rows = np.zeros(n, ROW)
    rows["contracts"] = np.nan
    rows["first_fill"] = -1
    rows["last_fill"] = -1
    rows["fills"] = 1
    rows["span"] = 1
    rows["counted"] = True
    return rows


def joined(parts: Sequence[Rows]) -> Rows:
    """Return arrays of one structured type as one (numpy's own `concatenate` copies field by field, ten times slower)."""
    bytes_of = f"V{parts[0].itemsize}"
    return np.concatenate([part.view(bytes_of) for part in parts]).view(parts[0].dtype)


class Fault(NamedTuple):
    """Input that was refused.

    Attributes
    ----------
    frame : int
        Which frame of the batch.
    reason : str
        One line, like `price was not above zero: '0'`.
    symbol : str
        The venue's own name, or empty.
    part : int
        Which row of a frame that holds several.
    """

    frame: int
    reason: str
    symbol: str = ""
    part: int = 0


class Decoded(NamedTuple):
    """What a venue's decoder made of a batch of frames.

    Attributes
    ----------
    rows : Rows
        Trades and voids in the order received; `instrument` indexes `symbols`; `recv_ns` is not set.
    symbols : list of str
        The venue's own names that occur in rows and quotes.
    faults : list of Fault
        What was refused. A refused trade whose id is known also has a void row.
    ignored : int
        Frames that are neither a row of any kind nor a fault: acks, pongs, channels that nobody records.
    quotes : array of feeds.QUOTE
    depths, liquidations, fundings : list
    """

    rows: Rows
    symbols: list[str]
    faults: list[Fault]
    ignored: int
    quotes: QuoteRows = NO_QUOTES
    depths: Sequence[Depth] = ()
    liquidations: Sequence[Liquidation] = ()
    fundings: Sequence[Funding] = ()
