"""What the journal holds: the kinds of record, their payloads, and batches of them in memory."""

from __future__ import annotations

import enum
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt


class Kind(enum.IntEnum):
    """The kind of a journal record, and what its payload is."""

    FRAME = 1
    """A WebSocket frame, verbatim."""
    HEARTBEAT = 2
    """Empty: the recorder was alive at `recv_ns`; four a second."""
    START = 3
    """JSON `Start`: a recorder began; every connection before it is gone."""
    CONNECT = 4
    """JSON `Connect`: a connection opened, or (at the head of a segment) is still open."""
    DISCONNECT = 5
    """JSON `Disconnect`: a connection was lost or closed."""
    GAP_OPEN = 6
    """JSON `Gap` with status `open`: trades are or may be missing; repair has begun."""
    REPAIR = 7
    """JSON `Repair`, a newline, then the body of the REST answer, verbatim."""
    GAP_CLOSE = 8
    """JSON `Gap` with status `repaired`, `unfillable` or `none` (nothing was missing)."""
    SHED = 9
    """JSON `Gap` with status `shed`: frames not written for lack of disk."""
    SETTINGS = 10
    """JSON `settings.Kernels`."""
    INSTRUMENTS = 11
    """JSON `Instruments`."""
    REFERENCE = 12
    """JSON `Reference`."""
    KLINES = 13
    """JSON `Klines`, a newline, then the body of the REST answer, verbatim."""
    BOOK = 14
    """JSON `Book`, a newline, then the body of the REST answer with a snapshot of the book, verbatim."""
    FUNDING = 15
    """JSON `Funding`, a newline, then the body of the REST answer, verbatim."""
    NEWS = 16
    """JSON `News`, a newline, then the body of the feed, verbatim."""
    RULES = 17
    """JSON list of `rules.book.Rule`: the user's rules, all of them."""


class Start(msgspec.Struct, frozen=True):
    """A recorder began. `run` names it; `tape` is the kind of tape per venue."""

    run: str
    tape: dict[str, str]


class Connect(msgspec.Struct, frozen=True):
    """A connection opened. `symbols` are native names; `feeds` as in `feeds.FEEDS`."""

    venue: str
    route: str
    feeds: list[str]
    symbols: list[str]


class Disconnect(msgspec.Struct, frozen=True):
    """A connection ended."""

    venue: str
    reason: str


class Gap(msgspec.Struct, frozen=True):
    """A hole in a feed. `symbol` is native; ids are inclusive, None where not known."""

    venue: str
    symbol: str
    feed: str
    reason: str
    status: str
    from_id: int | None = None
    to_id: int | None = None


class Repair(msgspec.Struct, frozen=True):
    """Heads a REST answer with missing trades of `symbol` (native)."""

    venue: str
    symbol: str


class Klines(msgspec.Struct, frozen=True):
    """Heads a REST answer with the venue's candles of `symbol` (native)."""

    venue: str
    symbol: str
    interval: str


class Book(msgspec.Struct, frozen=True):
    """Heads a REST answer with a snapshot of the book of `symbol` (native), for the updates of the record's connection."""

    venue: str
    symbol: str


class Funding(msgspec.Struct, frozen=True):
    """Heads a REST answer about funding or open interest of `symbol` (native)."""

    venue: str
    symbol: str


class News(msgspec.Struct, frozen=True):
    """Heads the body of a news feed; `feed` is its name in the settings, `form` of `rss` (or Atom) and `cryptopanic`."""

    feed: str
    form: str


class InstrumentRecord(msgspec.Struct, frozen=True):
    """As `market.Instrument`, without the venue."""

    symbol: str
    native: str
    base: str
    quote: str
    tick: str = ""
    lot: str = ""
    status: str = ""
    contract: str = ""
    inverse: bool = False


class Instruments(msgspec.Struct, frozen=True):
    """The instruments of a venue that are recorded."""

    venue: str
    instruments: list[InstrumentRecord]


class Reference(msgspec.Struct, frozen=True):
    """Average daily volume of `symbol` (native) that thresholds of `date` (ISO) are made from.

    `adv` in units of base, `adv_notional` in quote currency, over `days` complete days ending at `last` (ISO).
    """

    venue: str
    symbol: str
    date: str
    adv: float
    adv_notional: float
    days: int
    last: str


class Batch(NamedTuple):
    """Consecutive records of one journal segment or source file.

    Attributes
    ----------
    recv_ns : int64, (n,)
        When each was received, ns since 1970; 0 where the source does not say.
    kind : uint8, (n,)
        `Kind`.
    connection : uint16, (n,)
    offset : int64, (n,)
        Byte offset of each record in the segment, or line number in the source.
    payload : list of bytes, n
    segment : str
        Name of the segment or file.
    end : int
        Offset just behind the last record: where the next batch begins.
    """

    recv_ns: npt.NDArray[np.int64]
    kind: npt.NDArray[np.uint8]
    connection: npt.NDArray[np.uint16]
    offset: npt.NDArray[np.int64]
    payload: list[bytes]
    segment: str
    end: int


def headed(head: msgspec.Struct, body: bytes) -> bytes:
    """Return the payload of a record that carries a REST answer."""
    return msgspec.json.encode(head) + b"\n" + body


def split_head(payload: bytes) -> tuple[bytes, bytes]:
    """Split a payload made by `headed` into head (JSON) and body."""
    head, _, body = payload.partition(b"\n")
    return head, body
