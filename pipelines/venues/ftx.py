"""FTX, which closed in November 2022: files of its trades, and no feed.

There is no official archive. Two forms are read: what tardis sold (`ftx` in the first column), and what its REST answered
written as CSV, a header of `id,price,size,side,time` in any order with `liquidation` and others between. `side` is the
taker's; a liquidation is a trade like others, counted once.

Not verified on a real file of trades, for none was at hand: that ids, which all markets share, are never missing (a line
without one is refused), and in what order REST dumps stand (they are put into order by time).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa

from pipelines.feeds import Feed, Level
from pipelines.market import Instrument
from pipelines.tape import Decoded
from pipelines.venues.columns import Tape
from pipelines.venues.csv_trades import Layout
from pipelines.venues.sheet import refusal
from pipelines.venues.venue import ArchiveFile, Failure, Request, Route, Rules, Seen, Stream

_COLUMNS: Final = {b"id": "id", b"price": "price", b"size": "size", b"side": "side", b"time": "iso"}
_NAME = re.compile(r"([A-Z0-9]+)(?:/([A-Z]+)|-([A-Z]{3,4})|-(?:USD-)?(PERP|[0-9]{4}))")


class ClosedError(ValueError):
    """FTX answers nothing any more."""

    def __init__(self) -> None:
        super().__init__("ftx closed in 2022: there are only files of its trades; set archives.ftx to a folder that holds them")


def layout_of(first_line: bytes) -> Layout | None:
    """Return how a file of trades is laid out by its header, None if it is none."""
    line = first_line.rstrip(b"\r\n")
    columns = tuple(_COLUMNS.get(name.strip(), "") for name in line.removeprefix(b"\xef\xbb\xbf").split(b","))
    known = [name for name in columns if name]
    return Layout("fill", columns, line, scientific=True) if sorted(known) == sorted(_COLUMNS.values()) else None


@dataclass(frozen=True)
class Ftx:
    """FTX: how to read files of its trades."""

    name: str = "ftx"

    @property
    def rules(self) -> Rules:
        """What held there: nothing can be recorded."""
        return Rules("", (1, 1.0), "fill", contiguous=False, feeds=frozenset(), verified=frozenset())

    def routes(self, instruments: Sequence[Instrument], feeds: Collection[Feed], base: str | None = None) -> list[Route]:
        """Return none."""
        del instruments, feeds, base
        return []

    def resubscribe(self, stream: Stream) -> list[bytes]:
        """Return none."""
        del stream
        return []

    def look(self, frames: Sequence[bytes]) -> Seen:
        """Return nothing."""
        del frames
        return Seen([], [])

    def decode(self, frames: Sequence[bytes | memoryview], tape: Tape) -> Decoded:
        """Refuse all."""
        del tape
        parts = [refusal(str(ClosedError()), "") for _ in frames]
        faults = [fault._replace(frame=k) for k, part in enumerate(parts) for fault in part.faults]
        return refusal("", "")._replace(faults=faults)

    def checksum(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """Return 0."""
        del bids, asks
        return 0

    def time_request(self) -> Request:
        """Refuse it."""
        raise ClosedError

    def parse_time(self, body: bytes) -> int:
        """Refuse it."""
        del body
        raise ClosedError

    def instruments_requests(self) -> list[Request]:
        """Return none."""
        return []

    def next_page(self, request: Request, body: bytes) -> None:
        """Return None."""
        del request, body

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """Refuse it."""
        del body
        raise ClosedError

    def klines_request(self, native: str, interval: Literal["1d", "1m"]) -> Request | None:
        """Return None."""
        del native, interval
        return None

    def parse_klines(self, body: bytes) -> pa.Table:
        """Refuse it."""
        del body
        raise ClosedError

    def repair_request(self, native: str, first: int, last: int | None) -> Request:
        """Refuse it."""
        del native, first, last
        raise ClosedError

    def decode_rest(self, body: bytes, native: str) -> Decoded:
        """Refuse it."""
        del body
        return refusal(str(ClosedError()), native)

    def book_request(self, native: str) -> Request | None:
        """Return None."""
        del native
        return None

    def decode_book(self, body: bytes, native: str) -> Decoded:
        """Refuse it."""
        return self.decode_rest(body, native)

    def funding_request(self, native: str) -> Request | None:
        """Return None."""
        del native
        return None

    def decode_funding(self, body: bytes, native: str) -> Decoded:
        """Refuse it."""
        return self.decode_rest(body, native)

    def parse_error(self, body: bytes) -> Failure | None:
        """Return None."""
        del body
        return None

    def guess(self, text: str) -> Instrument:
        """Return the instrument called `BTC-PERP`, `BTC-USD-PERP`, `BTC/USD` or `BTC-USD`; ValueError for any other name."""
        match = _NAME.fullmatch(text.strip().upper())
        if not match:
            raise ValueError(f"ftx had no {text!r}: its markets are called like BTC-PERP or BTC/USD")
        base, slash, hyphen, end = match.groups()
        if hyphen == "PERP":
            hyphen, end = None, "PERP"
        if end:
            return Instrument(self.name, f"{base}-USD-{end}", f"{base}-{end}", base, "USD")
        quote = slash or hyphen
        return Instrument(self.name, f"{base}-{quote}", f"{base}/{quote}", base, quote)

    def archive_layout(self, first_line: bytes) -> Layout | None:
        """See `Venue.archive_layout`."""
        return layout_of(first_line)

    def archive_files(self, native: str, date: dt.date, tape: Tape) -> list[ArchiveFile]:
        """Return none: there are only files that a user has."""
        del native, date, tape
        return []

    def archive_klines(self, native: str, date: dt.date) -> None:
        """Return none: what is known of the archive holds no candles."""
        del native, date
