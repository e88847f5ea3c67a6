"""A day as the lake has it: live, repaired and late trades put into final tape order.

Where ids are contiguous the order is that of ids. Elsewhere it is that of arrival (`seq`), late and repaired rows put
behind the last of the others that is not younger; so the order is the same however often a day is sealed in between.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.history import earlier
from pipelines.history.day import Day
from pipelines.history.stored_files import LIVE, SEAL, files_of, is_sealed, symbols_in, writer_of
from pipelines.market import Flag, Instrument
from pipelines.store import LakeError
from pipelines.store.lake import Lake
from pipelines.store.parquet import Staged
from pipelines.tape import Rows, empty, joined
from pipelines.venues import venue as venue_named
from pipelines.venues.columns import Tape

PIECE = 131_072
"""Rows of a piece."""
CACHED = 1_000_000
"""Rows of stored files that are held at once."""
_FLAGS = {flag.words()[0]: int(flag) for flag in Flag}
_AGAIN = Flag.LATE | Flag.REPAIRED
_COPIED = ("trade_id", "price", "size", "side", "fills", "counted")

Ints = npt.NDArray[np.int64]


class _Part(NamedTuple):
    """A row group of a stored file."""

    path: str
    group: int
    rows: int


class _Index(NamedTuple):
    """Where each row stands (part, and row in it), and what orders it; arrays of one length, per symbol."""

    part: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    trade_id: Ints
    seq: Ints
    ts: Ints
    again: npt.NDArray[np.bool_]

    def take(self, order: npt.NDArray[np.intp] | slice) -> _Index:
        return _Index(*(column[order] for column in self))  # type: ignore[arg-type]


class Found(NamedTuple):
    """What was found on the way, of a symbol: rows, those left out because their id stands twice, those counted only now."""

    rows: int
    twice: int
    counted: int


@dataclass(frozen=True)
class StoredDay:
    """Trades of a day that the lake holds; see `DayTape`.

    Attributes
    ----------
    files : list of str
        The files of table `trades` that it is made of.
    sources : dict of symbol to str
        Where each came from: one may have been recorded and another taken from an archive.
    """

    lake: Lake
    day: Day
    tape: Tape
    instruments: tuple[Instrument, ...]
    source: str
    digest: str
    files: tuple[str, ...]
    sources: dict[str, str]
    found: dict[str, Found] = field(default_factory=dict)

    def pieces(self) -> Iterator[Rows]:
        """Yield all rows; see `DayTape.pieces`."""
        fs, folder = self.lake.folder("trades")
        contiguous = venue_named(self.day.venue).rules.contiguous
        parts, by_symbol = _indexed(fs, folder, self.files, contiguous=contiguous)
        places, ordered, times = [], [], []
        for i, instrument in enumerate(self.instruments):
            index, dropped = _once(by_symbol.pop(instrument.symbol))
            if not contiguous or (np.diff(index.trade_id) < 0).any():
                index = index.take(_tape_order(index, contiguous=contiguous))
            self.found[instrument.symbol] = Found(index.part.size, dropped, 0)
            places.append(np.full(index.part.size, i, np.int32))
            times.append(np.maximum.accumulate(index.ts))
            ordered.append(index)
        whose = np.concatenate(places)
        where = np.concatenate([index.part for index in ordered]), np.concatenate([index.row for index in ordered])
        if len(ordered) > 1:
            order = np.argsort(np.concatenate(times), kind="stable")
            whose, where = whose[order], (where[0][order], where[1][order])
        del ordered, times, places
        files = _Files(fs, folder, parts)
        last = np.full(len(self.instruments), -1, np.int64)
        for begin in range(0, whose.size, PIECE):
            some = slice(begin, begin + PIECE)
            rows = files.rows(where[0][some], where[1][some])
            rows["instrument"] = whose[some]
            self._settle(rows, last, contiguous=contiguous)
            yield rows

    def _settle(self, rows: Rows, last: Ints, *, contiguous: bool) -> None:
        """Count what was only late, and take back `after_gap` where the hole has been filled; `last`: ids so far."""
        flagged = rows["flags"].any()
        for i, instrument in enumerate(self.instruments):
            mine = slice(None) if len(self.instruments) == 1 else np.flatnonzero(rows["instrument"] == i)
            ids = rows["trade_id"][mine]
            if not ids.size:
                continue
            if flagged:
                flags, spans = rows["flags"][mine], rows["span"][mine]
                now = _counted_now(flags, rows["counted"][mine])
                rows["counted"][mine] |= now
                found = self.found[instrument.symbol]
                self.found[instrument.symbol] = found._replace(counted=found.counted + int(now.sum()))
                before = np.concatenate([last[i : i + 1], ids[:-1]])
                filled = contiguous & (before >= 0) & (ids - spans == before)
                rows["flags"][mine] = np.where(filled, flags & ~int(Flag.AFTER_GAP), flags)
            last[i] = ids[-1]


def _counted_now(flags: npt.NDArray[np.int32], counted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which trades did not count only because they were late."""
    sent_again = flags & int(Flag.HISTORY | Flag.REPAIRED) == int(Flag.HISTORY)
    now: npt.NDArray[np.bool_] = (flags & int(Flag.LATE) != 0) & ~counted & ~sent_again & (flags & int(Flag.OFF_BOOK) == 0)
    return now


def stored_day(lake: Lake, day: Day) -> StoredDay:
    """Return all trades that the lake holds of a day.

    Raises
    ------
    LakeError
        If it holds none.
    """
    files = files_of(lake, "trades", day)
    if not files:
        raise LakeError(f"the lake holds no trades of {day}")
    symbols = sorted(set().union(*(symbols_in(lake, "trades", f) for f in files)))
    fs, folder = lake.folder("trades")
    heads = [pq.read_table(f"{folder}/{f.path}", columns=["tape"], filesystem=fs, partitioning=None) for f in files]
    tapes = {tape for head in heads for tape in pc.unique(head["tape"]).to_pylist()}
    if len(tapes) > 1:
        raise LakeError(f"the lake holds both aggregated trades and fills of {day}; load one of them with --replace")
    seals = earlier.newest_seals(lake, day.venue).get(day.date, {})
    loose = set().union(*(symbols_in(lake, "trades", f) for f in files if not is_sealed(f.path)))
    sources = {s: (s not in loose and seals.get(s, {}).get("source")) or LIVE for s in symbols}
    source = "; ".join(sorted(set(sources.values())))
    instruments = tuple(described(lake, day.venue, symbol) or _told_by(symbol, day.venue) for symbol in symbols)
    paths = tuple(f.path for f in files)
    return StoredDay(lake, day, "fill" if tapes == {"fill"} else "agg", instruments, source, _digest(files), paths, sources)


def _digest(files: Sequence[Staged]) -> str:
    """Return the digest of a tape made of these files: that of the seal which wrote all of them, else one of its own."""
    writers = {writer_of(f.path) for f in files}
    if len(writers) == 1 and min(writers).startswith(SEAL):
        return min(writers).removeprefix(SEAL)
    names = writers if all(w.startswith(SEAL) for w in writers) else {f.path for f in files}
    return hashlib.sha256("\0".join(sorted(names)).encode()).hexdigest()[:16]


def _told_by(symbol: str, venue: str) -> Instrument:
    base, _, quote = symbol.partition("-")
    return Instrument(venue, symbol, symbol, base, quote.partition("-")[0])


def described(lake: Lake, venue: str, symbol: str) -> Instrument | None:
    """Return an instrument as it was last described; None where it never was."""
    import polars as pl  # noqa: PLC0415

    rows = lake.table("instruments").filter(pl.col("venue") == venue, pl.col("symbol") == symbol).sort("ts").tail(1).collect()
    if not rows.height:
        return None
    row = rows.row(0, named=True)
    tick, lot, contract = ("" if row[name] is None else repr(row[name]) for name in ("tick", "lot", "contract"))
    return Instrument(
        venue, symbol, row["native"], row["base"], row["quote"], tick, lot, row["status"] or "", contract, bool(row["inverse"])
    )


def _indexed(fs: object, folder: str, files: Sequence[str], *, contiguous: bool) -> tuple[list[_Part], dict[str, _Index]]:
    """Return the row groups of files, and by symbol where each row stands."""
    columns = ["symbol", "trade_id", "seq", "ts", *(() if contiguous else ("flags",))]
    parts: list[_Part] = []
    found: dict[str, list[_Index]] = {}
    for path in files:
        reader = pq.ParquetFile(f"{folder}/{path}", filesystem=fs)
        for group in range(reader.num_row_groups):
            table = reader.read_row_group(group, columns=columns)
            again = np.zeros(table.num_rows, np.bool_) if contiguous else flags_of(table["flags"]) & int(_AGAIN) != 0
            ids, seq, ts = (table[name].cast(pa.int64()).to_numpy() for name in ("trade_id", "seq", "ts"))
            part = np.full(ids.size, len(parts), np.int32)
            index = _Index(part, np.arange(ids.size, dtype=np.int32), ids, seq, ts, again)
            coded = table["symbol"].combine_chunks().dictionary_encode()
            names = coded.dictionary.to_pylist()
            for k, name in enumerate(names):
                mine = slice(None) if len(names) == 1 else np.flatnonzero(coded.indices.to_numpy() == k)
                found.setdefault(name, []).append(index.take(mine))
            parts.append(_Part(path, group, ids.size))
    joined = {}
    for name in list(found):
        joined[name] = _Index(*(np.concatenate(columns) for columns in zip(*found.pop(name), strict=True)))
    return parts, joined


def _once(index: _Index) -> tuple[_Index, int]:
    """Return the rows of distinct ids, of equal ones the first received, and how many that leaves out."""
    if (np.diff(index.trade_id) > 0).all():
        return index, 0
    order = np.lexsort([index.seq, index.trade_id])
    ids = index.trade_id[order]
    first = np.concatenate([[True], ids[1:] != ids[:-1]])
    return index.take(order[first]), int(ids.size - first.sum())


def _tape_order(index: _Index, *, contiguous: bool) -> npt.NDArray[np.intp]:
    """Return the order of rows on the final tape."""
    if contiguous:
        return np.argsort(index.trade_id, kind="stable")
    by_arrival = np.argsort(index.seq, kind="stable")
    others = by_arrival[~index.again[by_arrival]]
    key = index.ts.copy()
    key[others] = np.maximum.accumulate(index.ts[others])
    rank = np.zeros(key.size, np.int64)
    rank[others] = np.arange(others.size)
    return np.lexsort([np.where(index.again, index.trade_id, rank), np.where(index.again, index.ts, 0), index.again, key])


def flags_of(column: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Return lists of words as `Flag`s."""
    lists = column.combine_chunks()
    out = np.zeros(len(lists), np.int32)
    if len(lists.values) == 0:
        return out
    words = lists.flatten().dictionary_encode()
    values = np.array([_FLAGS.get(word, 0) for word in words.dictionary.to_pylist()], np.int32)[words.indices.to_numpy()]
    np.bitwise_or.at(out, pc.list_parent_indices(lists).to_numpy(), values)
    return out


class _Files:
    """Stored rows by part and row, each row group decoded as rarely as its neighbours allow."""

    def __init__(self, fs: object, folder: str, parts: Sequence[_Part]) -> None:
        self.fs, self.folder, self.parts = fs, folder, parts
        self.cache: OrderedDict[int, Rows] = OrderedDict()

    def rows(self, part: npt.NDArray[np.int32], row: npt.NDArray[np.int32]) -> Rows:
        """Return the rows at these places."""
        wanted = np.unique(part).tolist()
        if len(wanted) == 1:
            return self._of(wanted[0], row).copy()
        ordered = bool((part[1:] >= part[:-1]).all())
        order = np.arange(part.size) if ordered else np.argsort(part, kind="stable")
        cuts = np.searchsorted(part[order], wanted)
        blocks = [self._of(n, row[mine]) for n, mine in zip(wanted, np.split(order, cuts[1:]), strict=True)]
        if ordered:
            return joined(blocks)
        back = np.empty(order.size, np.int64)
        back[order] = np.arange(order.size)
        return joined(blocks).take(back)

    def _of(self, number: int, row: npt.NDArray[np.int32]) -> Rows:
        """Return rows of a row group, in this order."""
        if row[-1] - row[0] == row.size - 1 and (row[1:] > row[:-1]).all():
            return self._part(number)[row[0] : row[-1] + 1]
        return self._part(number).take(row)

    def _part(self, number: int) -> Rows:
        if number not in self.cache:
            part = self.parts[number]
            reader = pq.ParquetFile(f"{self.folder}/{part.path}", filesystem=self.fs)
            self.cache[number] = _decoded(reader.read_row_group(part.group))
            while len(self.cache) > 1 and sum(rows.size for rows in self.cache.values()) > CACHED:
                self.cache.popitem(last=False)
        self.cache.move_to_end(number)
        return self.cache[number]


def _decoded(table: pa.Table) -> Rows:
    """Return stored rows as rows of the tape."""
    rows = empty(table.num_rows)
    for name in _COPIED:
        rows[name] = table[name].to_numpy()
    rows["ts"] = table["ts"].cast(pa.int64()).to_numpy()
    rows["recv_ns"] = pc.fill_null(table["recv_ts"].cast(pa.int64()), 0).to_numpy() * 1000
    if table["contracts"].null_count < table.num_rows:
        rows["contracts"] = table["contracts"].to_numpy()
    if table["first_fill"].null_count < table.num_rows:
        for name in ("first_fill", "last_fill"):
            rows[name] = pc.fill_null(table[name], -1).to_numpy()
    rows["span"] = np.where(rows["first_fill"] < 0, np.maximum(rows["fills"], 1), 1)  # one that merges fills uses up their ids
    rows["flags"] = flags_of(table["flags"])
    return rows
