"""Rows that are no trades: they ask for a venue's time, as `kernels.clock` tells it, where something else came."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.records import Batch
from pipelines.tape import CLOCK, MARK, Rows, empty


def beats(where: npt.NDArray[np.int64], batch: Batch, venues: int) -> Rows:
    """Return a clock row of each venue for each of the heartbeats at `where`."""
    rows = empty(where.size * venues)
    rows["kind"] = CLOCK
    rows["frame"] = np.repeat(where, venues)
    rows["recv_ns"] = np.repeat(batch.recv_ns[where], venues)
    rows["instrument"] = np.tile(-1 - np.arange(venues), where.size)
    return rows


def marks(where: npt.NDArray[np.int64], batch: Batch, venue: int) -> Rows:
    """Return a mark of a venue for each of the frames at `where`."""
    rows = empty(where.size)
    rows["kind"], rows["frame"], rows["recv_ns"] = MARK, where, batch.recv_ns[where]
    rows["instrument"] = -1 - venue
    return rows
