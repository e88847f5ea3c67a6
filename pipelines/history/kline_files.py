"""The venue's own 1-minute candles, from files into table `klines`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import ledger
from pipelines.history.day import Day
from pipelines.history.stored_files import files_of, read
from pipelines.market import DAY_US, Instrument
from pipelines.sources import SourceError
from pipelines.sources.files import unpacked
from pipelines.store.lake import Lake

MOST: Final = 64 << 20
"""Bytes of a file, unpacked; a month has 6 MB."""


def read_file(path: Path, parse: Callable[[bytes], pa.Table]) -> pa.Table:
    """Return the candles of a file.

    Raises
    ------
    SourceError
        If it is damaged, or holds something else.
    """
    with unpacked(path) as stream:
        body = stream.read(MOST + 1)
    if len(body) > MOST:
        raise SourceError(path, f"holds more than {MOST >> 20} MB, which are no candles of a month")
    try:
        return parse(body)
    except ValueError as error:
        raise SourceError(path, f"holds no candles ({error}); fetch it again") from None


def store(lake: Lake, day: Day, instrument: Instrument, candles: pa.Table) -> int:
    """Write those candles of a date that table `klines` does not have; return how many. Others may do so at the same time."""
    turn = f"archive.klines.{day.venue}.{day.date}"
    last = lake.version("klines", turn)
    ts = candles["ts"].cast(pa.int64())
    of_day = pc.and_(pc.greater_equal(ts, day.us), pc.less(ts, day.us + DAY_US))
    rows = ledger.klines(instrument, "1m", candles.filter(of_day))
    known = read(lake, "klines", files_of(lake, "klines", day), [instrument.symbol])
    there = known.filter(pc.equal(known["interval"], "1m"))["ts"].combine_chunks()
    rows = rows.filter(pc.invert(pc.is_in(rows["ts"], there)))
    if rows.num_rows:
        staged = lake.stage("klines", rows, f"archive.klines-{uuid4().int % 10**18:018d}", {"source": "archive"})
        if not lake.replace("klines", [], staged, app=turn, version=0 if last is None else last + 1):
            lake.discard("klines", [file.path for file in staged])
            return store(lake, day, instrument, candles)  # others have written candles of the date meanwhile
    return int(rows.num_rows)
