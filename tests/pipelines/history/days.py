"""Small days: archives, the tapes made of them, and what a lake holds of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from pipelines import rows as to_rows
from pipelines.history.day import Day
from pipelines.jobs import Job, load
from pipelines.market import DAY_US, TABLES, Flag, Instrument
from pipelines.records import Kind
from pipelines.settings import Kernels
from pipelines.sources import Position, open_source
from pipelines.store.lake import Lake
from pipelines.store.staging import Staging
from pipelines.tape import Rows
from pipelines.venues.columns import Tape
from tests import tapes

VENUE = "binance-usdm"
FIRST = dt.date(2023, 11, 15)
NOW = tapes.DAY + 40 * DAY_US
TABLES_OF_A_DAY = ("trades", "bars", "vpin", "features", "posture", "alerts")


class RowsDay(NamedTuple):
    """A `DayTape` whose rows are at hand."""

    day: Day
    rows: Rows
    instruments: tuple[Instrument, ...]
    digest: str
    tape: Tape = "agg"
    source: str = "archive"
    piece: int = 1000

    def pieces(self) -> Iterator[Rows]:
        for begin in range(0, self.rows.size, self.piece):
            yield self.rows[begin : begin + self.piece].copy()


def day(shift: int = 0) -> Day:
    """Return the day so many after the first."""
    return Day(FIRST + dt.timedelta(days=shift), VENUE)


def archive(path: Path, seed: int, shift: int, first_id: int = 0, n: int = 3000) -> Path:
    """Write a day of USD-M aggTrades as the venue's archive does."""
    rng = np.random.default_rng(seed)
    ts = (tapes.DAY + shift * DAY_US) // 1000 + np.sort(rng.integers(0, 86_400_000, n))
    price = 100 + np.cumsum(rng.normal(0, 0.05, n))
    size = rng.lognormal(-1, 1, n) + 0.001
    side = rng.random(n) < 0.5
    first = first_id or n * shift + 1
    lines = ["agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"]
    lines += [f"{first + k},{price[k]:.2f},{size[k]:.3f},{2 * k},{2 * k + 1},{ts[k]},{str(side[k]).lower()}" for k in range(n)]
    path.write_text("\n".join(lines) + "\n")
    return path


def archived(folder: Path, shift: int, symbol: str = "AAA", seed: int = 0, n: int = 3000) -> Path:
    """Write the archive of a day of a symbol."""
    folder.mkdir(parents=True, exist_ok=True)
    return archive(folder / f"{symbol}USDT-aggTrades-{day(shift).date}.csv", seed or 10 * shift + 1, shift, n=n)


def tape_of(path: Path, shift: int) -> RowsDay:
    """Return the tape of an archived day."""
    source = open_source([path], venue=VENUE, symbol=None)
    parts = [piece.rows.rows for piece in source.pieces(Position(0, 0), 10**6) if piece.rows is not None]
    rows = np.concatenate(parts)
    rows["instrument"] = 0
    return RowsDay(day(shift), rows, tuple(source.instruments), f"{path.stem}{path.stat().st_size}")


def loaded(lake: Path, *paths: Path, kernels: Kernels = tapes.KERNELS) -> Lake:
    """Load archives of whole days."""
    load(Job(open_source(paths, venue=VENUE, symbol=None), kernels, Lake(lake), complete=True, replace=False))
    return Lake(lake)


def contents(lake: Lake, *without: str) -> dict[str, pl.DataFrame]:
    """Return every table of a day, sorted by key, without the columns named."""
    frames = {}
    for name in TABLES_OF_A_DAY:
        frame = lake.table(name).collect().sort(*TABLES[name].key, "end")
        frames[name] = frame.drop(without, strict=False)
    return frames


def assert_same(one: Lake, other: Lake, *without: str) -> None:
    """Two lakes hold the same rows bit for bit, and some of each table."""
    a, b = contents(one, *without), contents(other, *without)
    for name in TABLES_OF_A_DAY:
        assert a[name].height > 0, name
        assert a[name].equals(b[name]), name


BEGIN = tapes.DAY + DAY_US - 900_000_000
"""A stream begins a quarter of an hour before midnight."""
BEAT_US = 1_000_000


def trades(seed: int, n: int = 2500, *, minutes: int = 30, begin: int = BEGIN) -> Rows:
    """Return a tape of one instrument, with ids that follow each other and, now and then, the same time."""
    rows = tapes.rows(seed, n, span_us=minutes * 60_000_000, begin=begin, instruments=1)
    rows["ts"] = np.maximum.accumulate(rows["ts"])
    rows["instrument"] = 0
    return rows


def frame(row: np.void, native: str = "AAAUSDT") -> bytes:
    """Return the frame of a trade."""
    price, size = f"{float(row['price']):.2f}", f"{float(row['size']):.3f}"
    return tapes.agg_trade(native, int(row["trade_id"]), int(row["ts"]) // 1000, price, size, seller=bool(row["side"] < 0))


def journal(rows: Rows, delays_us: np.ndarray, beats_until: int, native: str = "AAAUSDT") -> list[tapes.Line]:
    """Return what a recorder writes of trades that arrive so long after they were made, with a heartbeat each second."""
    arrivals = [(int(row["ts"]) + int(delay), Kind.FRAME, frame(row, native)) for row, delay in zip(rows, delays_us, strict=True)]
    begin = int(rows["ts"][0]) // BEAT_US * BEAT_US
    beats = [(at, Kind.HEARTBEAT, b"") for at in range(begin, beats_until, BEAT_US)]
    return [(us * 1000, kind, body) for us, kind, body in sorted([*beats, *arrivals], key=lambda line: line[0])]


def streamed(lake: Path, lines: list[tapes.Line], kernels: Kernels = tapes.KERNELS, *, cut: int = 2000) -> Lake:
    """Run records through the live computation, into a lake."""
    opened = Lake(lake)
    for _ in streaming(opened, lines, kernels, cut=cut):
        pass
    return opened


def streaming(opened: Lake, lines: list[tapes.Line], kernels: Kernels = tapes.KERNELS, *, cut: int) -> Iterator[int]:
    """Run records through the live computation, into a lake; yield the number of each piece that has been committed."""
    opened.create()
    engine = tapes.journal_engine(kernels, begun=False)
    for instrument in tapes.INSTRUMENTS:
        engine.account.describe(instrument, lines[0][0])
    engine.settle(kernels, lines[0][0])
    staging = Staging(opened, "main.0", {}, None)
    for number, batch in enumerate(tapes.batches(lines, range(cut, len(lines), cut))):
        for table, rows in engine.feed(batch).tables:
            staging.add(table, rows)
        staging.snapshot("minute")
        staging.publish()
        yield number


def store_late(lake: Lake, rows: Rows, name: str) -> None:
    """Store trades as the stream does that come after their date was closed."""
    late = rows.copy()
    late["flags"], late["counted"], late["seq"] = int(Flag.LATE), False, (1 << 40) + np.arange(late.size)
    table = to_rows.trades(late, [VENUE], ["AAA-USDT-PERP"], ["agg"])
    lake.replace("trades", [], lake.stage("trades", table, name, {}))
