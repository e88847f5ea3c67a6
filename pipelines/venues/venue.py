"""What a venue is to the rest: the questions that every venue's file answers. Bytes in, rows out; no sockets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal, NamedTuple, Protocol

import pyarrow as pa

from pipelines.feeds import Feed
from pipelines.market import Instrument
from pipelines.tape import Decoded
from pipelines.venues.columns import Tape
from pipelines.venues.csv_trades import Layout


class Request(NamedTuple):
    """A GET request: its path, its query, and what it takes from the host's budget of weight."""

    path: str
    params: dict[str, str]
    weight: int


class Stream(NamedTuple):
    """One feed of one instrument (the venue's own name; empty: of the whole market)."""

    feed: Feed
    symbol: str


class Route(NamedTuple):
    """A connection to open.

    Attributes
    ----------
    name : str
        Like `market`; what `records.Connect.route` says.
    url : str
    subscribe : list of bytes
        Text frames to send once it is open, in this order, no faster than `Rules.messages_per_second`.
    streams : list of Stream
        What is then expected to come.
    """

    name: str
    url: str
    subscribe: list[bytes]
    streams: list[Stream]

    @property
    def feeds(self) -> list[Feed]:
        """The feeds it carries."""
        return list(dict.fromkeys(stream.feed for stream in self.streams))

    @property
    def symbols(self) -> list[str]:
        """The instruments it carries, by the venue's own names."""
        return list(dict.fromkeys(stream.symbol for stream in self.streams if stream.symbol))


class Sight(NamedTuple):
    """What a frame bears, at a glance.

    Attributes
    ----------
    feed : Feed
    symbol : str
        The venue's own name.
    first, last : int
        Of trades, the ids it uses up, ends included; else -1. An empty range, `first` = `last` + 1, bears no trade: the
        venue says that ids up to `last` exist.
    tape : {'agg', 'fill'}
        Of trades, which tape they belong to.
    history : bool
        The venue sends again what was before the subscription.
    """

    feed: Feed
    symbol: str
    first: int = -1
    last: int = -1
    tape: Tape = "agg"
    history: bool = False


class Answer(NamedTuple):
    """What the server says about the connection itself.

    Attributes
    ----------
    kind : {'ack', 'error', 'shutdown', 'pong'}
        `shutdown`: the server is about to close; open the replacement at once.
    text : str
        What went wrong, with the venue's code.
    """

    kind: Literal["ack", "error", "shutdown", "pong"]
    text: str = ""


class Failure(NamedTuple):
    """Why a REST answer holds nothing of what was asked for.

    Attributes
    ----------
    kind : {'error', 'busy', 'garbled'}
        `error`: the same request would end the same. `busy`: too much was asked, or the venue has no time; it is to be left
        alone for a while. `garbled`: this is no answer of the venue's.
    text : str
        The venue's own words, with its code.
    """

    kind: Literal["error", "busy", "garbled"]
    text: str


GARBLED: Final = Failure("garbled", "answer was no valid JSON")


class Seen(NamedTuple):
    """What the recorder learns from a group of frames.

    Attributes
    ----------
    sights : list of Sight
        In order of receipt.
    answers : list of Answer
        The venue's own words.
    numbers : sequence of int
        Where the venue counts the messages of a connection, all of them and one by one: their numbers, in order of receipt.
    """

    sights: list[Sight]
    answers: list[Answer]
    numbers: Sequence[int] = ()


class Rules(NamedTuple):
    """What holds at a venue, whatever is asked of it.

    Attributes
    ----------
    rest : str
        Base URL of REST.
    weight_window : (int, float)
        Weight of REST requests that the host allows an address, within how many seconds: of several limits that which is
        kept over the shortest time.
    tape : {'agg', 'fill'}
        What its live trades are.
    contiguous : bool
        Trade ids of an instrument follow each other without a hole.
    feeds : frozenset of Feed
        What can be recorded.
    verified : frozenset of Feed
        Those of which a real recorded frame has been decoded (tests hold it).
    weight_header : str
        Header of a REST answer that tells the weight spent in this window; empty: none.
    messages_per_second : float
        Text frames that a client may send.
    connects : (int, float)
        How many connections may be opened within how many seconds.
    rotate_s : float
        Age at which a connection is replaced, before the venue closes it.
    ping : bytes
        Text frame that keeps a connection alive; empty: WebSocket pings do.
    ping_s : float
        How often it is sent.
    page : int
        Trades that one repair request brings at most.
    book_depth : int
        Levels of a side beyond which a book is cut after each update, as the venue does without saying so; 0: none.
    too_many : tuple of int
        HTTP statuses that mean too many requests. A 403 that is not among them is a refusal of the place or network; one that
        is may be either, which its body tells.
    exact_history : bool
        A repair answer holds the trades as the socket sends them (else: single fills where the socket merges them).
    archive : str
        Base URL of the archive of trades; empty: there is none.
    """

    rest: str
    weight_window: tuple[int, float]
    tape: Tape
    contiguous: bool
    feeds: frozenset[Feed]
    verified: frozenset[Feed]
    weight_header: str = ""
    messages_per_second: float = 5.0
    connects: tuple[int, float] = (300, 300.0)
    rotate_s: float = 23 * 3600.0
    ping: bytes = b""
    ping_s: float = 20.0
    page: int = 1000
    book_depth: int = 0
    exact_history: bool = True
    too_many: tuple[int, ...] = (418, 429)
    archive: str = ""


class ArchiveFile(NamedTuple):
    """A file of a venue's archive of trades.

    Attributes
    ----------
    path : str
        Below `Rules.archive`.
    checksum : str
        Path of a file with its SHA-256, as `sha256sum` writes it; empty: there is none.
    part : {'day', 'month', 'edge'}
        A date is in all files of days together, and in that of the month alone. That of an edge may hold trades of the date,
        and may be missing.
    """

    path: str
    checksum: str = ""
    part: Literal["day", "month", "edge"] = "day"


class KlineArchive(NamedTuple):
    """Files of an archive that hold a venue's 1-minute candles of a UTC date, and what reads one, unpacked.

    `parse` returns columns `columns.KLINES`, of the whole file; it raises ValueError if that is not of the known form.
    """

    files: list[ArchiveFile]
    parse: Callable[[bytes], pa.Table]


class Venue(Protocol):
    """A venue. `name` is ours, like `binance-usdm`."""

    @property
    def name(self) -> str:
        """Our name of it."""

    @property
    def rules(self) -> Rules:
        """What holds there."""

    # Sockets

    def routes(self, instruments: Sequence[Instrument], feeds: Collection[Feed], base: str | None = None) -> list[Route]:
        """Return the connections that carry `feeds` of `instruments`; `base` is the URL (`http://host:port`) of a stand-in.

        Raises
        ------
        ValueError
            If `base` is no such URL.
        """

    def resubscribe(self, stream: Stream) -> list[bytes]:
        """Return the frames after which the venue sends a book anew; empty where a snapshot comes over REST."""

    def look(self, frames: Sequence[bytes]) -> Seen:
        """Tell at a glance what frames bear; nothing raises, what is neither data nor answer is left out."""

    # Reading

    def decode(self, frames: Sequence[bytes | memoryview], tape: Tape) -> Decoded:
        """Read a batch of frames, whatever came; nothing raises. Of trades, only those of `tape` are taken."""

    def checksum(self, bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> int:
        """Return the checksum of a book, best levels first, as the venue sends it; 0 where it sends none."""

    # REST

    def time_request(self) -> Request:
        """Ask for the server's time."""

    def parse_time(self, body: bytes) -> int:
        """Return the server's time, ms since 1970; ValueError if the answer is not of that form."""

    def instruments_requests(self) -> list[Request]:
        """Ask for all instruments and their rules; several requests where markets are asked for apart."""

    def next_page(self, request: Request, body: bytes) -> Request | None:
        """Return the request for the page behind this answer about instruments; None: it was the last."""

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """Read an answer to one of `instruments_requests`; ValueError if it is not of that form."""

    def klines_request(self, native: str, interval: Literal["1d", "1m"]) -> Request | None:
        """Ask for the newest UTC candles, the unfinished one included, as many as one answer brings; None: there are none."""

    def parse_klines(self, body: bytes) -> pa.Table:
        """Read candles: columns `columns.KLINES`; volume in base. ValueError if the answer is not of that form."""

    def repair_request(self, native: str, first: int, last: int | None) -> Request:
        """Ask for trades that are missing: ids `first` to `last`; without `last`, `first` and whatever came after it.

        Where a venue only shows pages before an id, the page that ends with `last`; where it only shows the newest, these.
        """

    def decode_rest(self, body: bytes, native: str) -> Decoded:
        """Read the answer to `repair_request`; `Fault.part` is the place of a refused trade in it."""

    def book_request(self, native: str) -> Request | None:
        """Ask for a snapshot of the book; None where it comes over the socket."""

    def decode_book(self, body: bytes, native: str) -> Decoded:
        """Read the answer to `book_request`: one `Depth` with `snapshot`, or a fault."""

    def funding_request(self, native: str) -> Request | None:
        """Ask for open interest, where no socket tells it; None: not needed."""

    def decode_funding(self, body: bytes, native: str) -> Decoded:
        """Read the answer to `funding_request`: one `Funding`, or a fault."""

    def parse_error(self, body: bytes) -> Failure | None:
        """Return what went wrong if a REST answer is an error, else None.

        Asked of every answer, for HTTP may call an error 200: nothing beside the error is to be read.
        """

    # Names

    def guess(self, text: str) -> Instrument:
        """Return the instrument called `text` where no instruments are at hand; ValueError if it cannot be told."""

    # Archives

    def archive_layout(self, first_line: bytes) -> Layout | None:
        """Return how the lines of an archive are laid out, None if it is none of this venue's trades."""

    def archive_files(self, native: str, date: dt.date, tape: Tape) -> list[ArchiveFile]:
        """Return the files that can hold trades of a UTC date; none where no archive has that kind of tape."""

    def archive_klines(self, native: str, date: dt.date) -> KlineArchive | None:
        """Return where the archive has 1-minute candles of a UTC date; None where it has none that are known."""
