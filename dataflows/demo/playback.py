"""A recorded market: what a capture holds, in the recording's own time.

Each stream is sent as it was recorded. Where only single trades (`@trade`) were recorded, each becomes an aggregated trade
of one fill: its id is that of the fill, less the number of off-book ones (`X` other than MARKET) before it, which are left
out. So the tape has holes only where the recording has, and REST answers any of its ids.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from dataflows.demo import wire
from dataflows.demo.tape import DAY_MS, INTERVALS_MS, Candle, Frame, Ints, Listing, Trades, candles, listed

_PLAIN = re.compile(r"\d{1,12}(?:\.\d{1,12})?")
_LINE = re.compile(rb"(\d{10,19}) (\{.*\})\s*")
_GZIP = b"\x1f\x8b"


class _Envelope(msgspec.Struct):
    stream: str
    data: msgspec.Raw


class _Data(msgspec.Struct):
    """The fields of a trade or aggTrade that are read; of any other event, its time."""

    e: str = ""
    E: int = 0
    s: str = ""
    T: int = 0
    t: int = -1
    a: int | str = -1
    f: int = -1
    l: int = -1  # noqa: E741  the venue's spelling
    p: str = ""
    q: str = ""
    m: bool = False
    X: str = "MARKET"


class _Line(NamedTuple):
    """A recorded frame and when it is due, ms of exchange time."""

    due: int
    stream: str
    text: str
    data: _Data


class Recording:
    """A market played from captures: files of lines `<receive time> <combined frame>`, plain or gzipped.

    Parameters
    ----------
    paths : sequence of Path
        Held in memory whole. Several are one recording.

    Raises
    ------
    ValueError
        Naming the file: it is missing, of another format, or holds no trades that this exchange can show.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        files = sorted((list(_lines(path)) for path in paths), key=lambda lines: lines[0].due)
        lines = [line for file in files for line in file]
        self.begin_ms = lines[0].due
        self.end_ms = max(line.due for line in lines)
        self._sent: dict[str, tuple[Ints, list[Frame]]] = {}
        self._trades: dict[str, Trades] = {}
        self._matched: dict[str, Ints] = {}
        self.listings: dict[str, Listing] = {}
        by_stream: dict[str, list[_Line]] = {}
        for line in lines:
            by_stream.setdefault(line.stream, []).append(line)
        for stream, part in by_stream.items():
            if not stream.endswith("@aggTrade"):
                frames = [Frame(line.data.t if line.data.e == "trade" else -1, line.text) for line in part]
                self._sent[stream] = _rising([line.due for line in part]), frames
        for name in sorted({stream.partition("@")[0] for stream in by_stream}):
            tape = by_stream.get(f"{name}@aggTrade") or by_stream.get(f"{name}@trade") or []
            rows = [row for row in _rows(tape) if row is not None]
            if rows:
                try:
                    self._list(rows)
                except ValueError as error:
                    raise ValueError(f"recording {paths[0]}: {error}") from None
        if not self._trades:
            raise ValueError(f"recording {paths[0]}: it holds no trades (streams: {', '.join(by_stream) or 'none'})")

    def _list(self, rows: list[_Row]) -> None:
        base, quote = listed(rows[0].native)
        decimals = [max(map(_decimals, texts)) for texts in zip(*(row.texts for row in rows), strict=True)]
        once = sorted({row.id: row for row in reversed(rows)}.values(), key=lambda row: row.id)
        columns = zip(*((r.id, r.time, r.due, *map(_integer, r.texts, decimals), r.first, r.last) for r in once), strict=True)
        number, time, due, price, size, first, last = (np.array(column, np.int64) for column in columns)
        sell = np.array([row.sell for row in once])
        self._trades[base + quote] = Trades(number, time, _rising(due), price, size, sell, first, last)
        self._matched[base + quote] = _rising(time)
        self.listings[base + quote] = Listing(base + quote, base, quote, decimals[0], decimals[1])

    def id_at(self, native: str, time_ms: int) -> int:
        """Return the id of the first trade matched at or after `time_ms`."""
        return self._first_at(native, self._matched[native], time_ms)

    def unpublished(self, native: str, now_ms: int) -> int:
        """Return the id of the first trade that is sent after `now_ms`."""
        return self._first_at(native, self._trades[native].published, now_ms + 1)

    def _first_at(self, native: str, column: Ints, time_ms: int) -> int:
        number, i = self._trades[native].id, int(np.searchsorted(column, time_ms))
        return int(number[i]) if i < len(number) else int(number[-1]) + 1

    def trades(self, native: str, first: int, stop: int) -> Trades:
        """Return the trades with ids first (inclusive) to stop (exclusive), as far as they were recorded."""
        i, j = np.searchsorted(self._trades[native].id, [first, stop])
        return self._trades[native].cut(slice(i, j))

    def candles(self, native: str, interval: str, start_ms: int, end_ms: int, now_ms: int) -> list[Candle]:
        """Return the candles that open from `start_ms` to `end_ms`, of what is published at `now_ms`.

        Days that the recording does not hold whole have none: their volume would pass for that of a day.
        """
        width = INTERVALS_MS[interval]
        end = min(end_ms, now_ms) // width * width + width
        if width == DAY_MS:
            start_ms = max(start_ms, -(-self.begin_ms // width) * width)
            end = min(end, self.end_ms // width * width)
        start = -(-start_ms // width) * width
        stop = min(self.id_at(native, end), self.unpublished(native, now_ms))
        trades = self.trades(native, self.id_at(native, start), stop)
        return candles(trades._replace(time=_rising(trades.time)), width)

    def frames(self, stream: str, after_ms: int, upto_ms: int) -> list[Frame]:
        """Return what `stream` sends after `after_ms`, up to and including `upto_ms`."""
        name, _, channel = stream.partition("@")
        listing = self.listings.get(name.upper())
        if channel == "aggTrade" and listing is not None:
            first, stop = (self.unpublished(listing.native, ms) for ms in (after_ms, upto_ms))
            return wire.agg_trades(listing, self.trades(listing.native, first, stop))
        if stream not in self._sent:
            return []
        due, frames = self._sent[stream]
        i, j = np.searchsorted(due, [after_ms, upto_ms], "right")
        return frames[i:j]

    def prepare(self, time_ms: int) -> None:
        """Do nothing: all is at hand."""


class _Row(NamedTuple):
    """A trade as read; `texts` are price and size."""

    native: str
    id: int
    time: int
    due: int
    texts: tuple[str, str]
    sell: bool
    first: int
    last: int


def _rows(lines: list[_Line]) -> Iterator[_Row | None]:
    """Yield the trades of a stream's lines; None for what is no trade of the book."""
    off_book = 0
    for line in lines:
        data = line.data
        plain = _PLAIN.fullmatch(data.p) and _PLAIN.fullmatch(data.q)
        off_book += data.X != "MARKET"
        if data.X != "MARKET" or not plain:
            yield None
        elif data.e == "aggTrade" and isinstance(data.a, int):
            yield _Row(data.s, data.a, data.T, line.due, (data.p, data.q), data.m, data.f, data.l)
        else:
            yield _Row(data.s, data.t - off_book, data.T, line.due, (data.p, data.q), data.m, data.t, data.t)


def _lines(path: Path) -> Iterator[_Line]:
    """Read a capture. Frames of no stream and unreadable ones are left out; one without a time is due with the last."""
    try:
        packed = path.read_bytes()
        content = gzip.decompress(packed) if packed.startswith(_GZIP) else packed
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"recording {path}: {error}") from None
    due = 0
    count = 0
    envelope, inner = msgspec.json.Decoder(_Envelope), msgspec.json.Decoder(_Data)
    for raw in content.splitlines():
        match = _LINE.fullmatch(raw)
        if match is None:
            continue
        try:
            frame = envelope.decode(match[2])
            data = inner.decode(frame.data)
            text = bytes(frame.data).decode()
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        due = max(due, data.E)
        if due:
            count += 1
            yield _Line(due, frame.stream, text, data)
    if not count:
        raise ValueError(f"recording {path}: no lines `<receive time> <combined frame>` in it; give a capture, plain or .gz")


def _rising(values: Sequence[int] | Ints) -> Ints:
    return np.maximum.accumulate(np.array(values, np.int64))


def _decimals(text: str) -> int:
    return len(text.partition(".")[2].rstrip("0"))


def _integer(text: str, decimals: int) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction[:decimals].ljust(decimals, "0"))
