"""OKX v5: spot, swaps and futures, in one venue.

Sizes of swaps and futures are contracts. A connection that carries more than about thirty deep books falls behind, and
one that asks too often is closed, so that channels are shared out among connections. The address of a server for
regions (`wseea`, `wsus`) is a matter of `endpoints`. What the messages are like: `okx_frames`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec
import pyarrow as pa

from pipelines.feeds import FEEDS, Feed, Level
from pipelines.market import Instrument
from pipelines.tape import Decoded, Fault, empty
from pipelines.venues import endpoint, okx_archive, okx_frames, okx_rest, okx_sights
from pipelines.venues.columns import Tape
from pipelines.venues.csv_trades import Layout
from pipelines.venues.venue import ArchiveFile, Failure, Request, Route, Rules, Seen, Stream

BATCH: Final = 20
"""Channels named in one message: a wrong one may cost all of them."""
MAX_CHANNELS: Final = 400
"""Channels on one connection, which may ask 480 times an hour, to subscribe anew too."""
MAX_BOOKS: Final = 25
"""Books on one connection."""
_CHANNEL: Final[dict[Feed, str]] = {"trades": "trades", "quotes": "bbo-tbt", "book": "books"}
_STATUS: Final[dict[str, tuple[str, ...]]] = {
    "SPOT": (),
    "SWAP": ("funding-rate", "open-interest", "mark-price"),
    "FUTURES": ("open-interest", "mark-price"),
}
"""Channels of feed `funding`, by the type of instrument."""
_BARS: Final = {"1d": "1Dutc", "1m": "1m"}
"""`1D` would begin at midnight in Hong Kong."""
_DATED = re.compile(r"[^-]+-[^-]+-([0-9]{6})")
_NAME = re.compile(r"([A-Z0-9]+)-([A-Z0-9_]+)(?:-(PERP|SWAP|[0-9]{6}))?")
_WORTH: Final = {("BTC", "USDT", "SWAP"): "0.01", ("ETH", "USDT", "SWAP"): "0.1"}
"""Values of contracts that are known without asking."""
_WORTH_USD: Final = {"BTC": "100"}
"""The same of inverse contracts, by their base."""


@dataclass(frozen=True)
class Okx:
    """OKX: what to send it, and how to read what it sends."""

    name: str = "okx"

    @property
    def rules(self) -> Rules:
        """What holds there. REST allows 20 requests of a kind in 2 s."""
        return Rules(
            rest="https://www.okx.com",
            weight_window=(20, 2.0),
            tape="agg",
            contiguous=True,
            feeds=frozenset(FEEDS),
            verified=frozenset({"trades", "quotes", "book", "funding"}),
            messages_per_second=3.0,
            connects=(3, 1.0),
            ping=b"ping",
            ping_s=20.0,
            page=100,
            exact_history=False,
            archive=okx_archive.BASE,
        )

    # Sockets

    def routes(self, instruments: Sequence[Instrument], feeds: Collection[Feed], base: str | None = None) -> list[Route]:
        """See `Venue.routes`; liquidations are those of the whole market."""
        url = endpoint.socket(self.name, "wss://ws.okx.com:8443/ws/v5/public", base, "/ws/v5/public")
        streams = [Stream(feed, i.native) for i in instruments for feed in FEEDS if feed in feeds and feed != "liquidations"]
        wanted = {stream: _args(stream) for stream in streams}
        if "liquidations" in feeds:
            kinds = dict.fromkeys(_kind(i.native) for i in instruments)
            forced = [{"channel": "liquidation-orders", "instType": kind} for kind in kinds if kind != "SPOT"]
            wanted[Stream("liquidations", "")] = forced
        routes = []
        for number, group in enumerate(_shared_out({stream: args for stream, args in wanted.items() if args}), 1):
            asked = [arg for stream in group for arg in wanted[stream]]
            name = f"public-{number}" if number > 1 else "public"
            routes.append(Route(name, url, _messages("subscribe", asked), group))
        return routes

    def resubscribe(self, stream: Stream) -> list[bytes]:
        """Return the frames after which the venue sends a book anew."""
        return [*_messages("unsubscribe", _args(stream)), *_messages("subscribe", _args(stream))]

    def look(self, frames: Sequence[bytes]) -> Seen:
        """See `Venue.look`."""
        return okx_sights.look(frames)

    # Reading

    def decode(self, frames: Sequence[bytes | memoryview], tape: Tape) -> Decoded:
        """See `Venue.decode`."""
        return okx_frames.decode(frames, tape)

    def checksum(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """See `Venue.checksum`; sent until 2026-06-23."""
        return okx_frames.checksum(bids, asks)

    # REST

    def time_request(self) -> Request:
        """See `Venue.time_request`."""
        return Request("/api/v5/public/time", {}, 2)

    def parse_time(self, body: bytes) -> int:
        """See `Venue.parse_time`."""
        return okx_rest.parse_time(body)

    def instruments_requests(self) -> list[Request]:
        """See `Venue.instruments_requests`."""
        return [Request("/api/v5/public/instruments", {"instType": kind}, 1) for kind in _STATUS]

    def next_page(self, request: Request, body: bytes) -> None:
        """Return None: one answer holds all instruments of a type."""
        del request, body

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """See `Venue.parse_instruments`."""
        return okx_rest.parse_instruments(body, self.name)

    def klines_request(self, native: str, interval: Literal["1d", "1m"]) -> Request:
        """See `Venue.klines_request`."""
        return Request("/api/v5/market/candles", {"instId": native, "bar": _BARS[interval], "limit": "300"}, 1)

    def parse_klines(self, body: bytes) -> pa.Table:
        """See `Venue.parse_klines`."""
        return okx_rest.parse_klines(body)

    def repair_request(self, native: str, first: int, last: int | None) -> Request:
        """Ask for the page that ends with `last`, or for the newest: pages are told by what they are older than."""
        params = {"instId": native, "type": "1", "limit": "100"}
        if last is not None:
            params |= {"after": str(last + 1), "limit": str(min(100, max(1, last - first + 1)))}
        return Request("/api/v5/market/history-trades", params, 1)

    def decode_rest(self, body: bytes, native: str) -> Decoded:
        """See `Venue.decode_rest`: single matches."""
        return okx_rest.decode_rest(body, native)

    def book_request(self, native: str) -> None:
        """Return None: the socket sends a snapshot first."""
        del native

    def decode_book(self, body: bytes, native: str) -> Decoded:
        """Refuse it: a book that was not asked for has no place in a chain."""
        del body
        return Decoded(empty(0), [], [Fault(0, "a book came over REST, which nobody asked for", native)], 0)

    def funding_request(self, native: str) -> None:
        """Return None: the socket tells the open interest."""
        del native

    def decode_funding(self, body: bytes, native: str) -> Decoded:
        """Refuse it: it was not asked for."""
        del body
        return Decoded(empty(0), [], [Fault(0, "funding came over REST, which nobody asked for", native)], 0)

    def parse_error(self, body: bytes) -> Failure | None:
        """See `Venue.parse_error`."""
        return okx_rest.parse_error(body)

    # Names

    def guess(self, text: str) -> Instrument:
        """Return the instrument called `text`; ValueError if it cannot be told.

        Without OKX's own list a contract's value is known of few: sizes of the others would mean nothing.
        """
        match = _NAME.fullmatch(text.strip().upper())
        if not match:
            raise ValueError(f"cannot tell base from quote asset in {text!r}; write it like BTC-USDT or BTC-USDT-PERP")
        base, quote, end = match.groups()
        if end is None:
            return Instrument(self.name, f"{base}-{quote}", f"{base}-{quote}", base, quote)
        kind = "SWAP" if end == "PERP" else end
        inverse = quote == "USD"
        worth = _WORTH_USD.get(base) if inverse else _WORTH.get((base, quote, kind))
        if worth is None:
            raise ValueError(f"{text!r} counts in contracts whose value only {self.name}'s list of instruments tells")
        symbol = f"{base}-{quote}-{'PERP' if kind == 'SWAP' else kind}"
        return Instrument(self.name, symbol, f"{base}-{quote}-{kind}", base, quote, contract=worth, inverse=inverse)

    # Archives

    def archive_layout(self, first_line: bytes) -> Layout | None:
        """See `Venue.archive_layout`."""
        return okx_archive.layout_of(first_line)

    def archive_files(self, native: str, date: dt.date, tape: Tape) -> list[ArchiveFile]:
        """See `Venue.archive_files`; there are single fills only."""
        return okx_archive.files(native, date) if tape == "fill" else []

    def archive_klines(self, native: str, date: dt.date) -> None:
        """Return none: what is known of the archive holds no candles."""
        del native, date


def _kind(native: str) -> Literal["SPOT", "SWAP", "FUTURES"]:
    """Return the type of an instrument, which its name ends in."""
    if native.endswith("-SWAP"):
        return "SWAP"
    return "FUTURES" if _DATED.fullmatch(native) else "SPOT"


def _args(stream: Stream) -> list[dict[str, str]]:
    """Return the channels that carry a stream of one instrument; none of what its type does not have."""
    names = _STATUS[_kind(stream.symbol)] if stream.feed == "funding" else (_CHANNEL[stream.feed],)
    return [{"channel": name, "instId": stream.symbol} for name in names]


def _shared_out(wanted: dict[Stream, list[dict[str, str]]]) -> list[list[Stream]]:
    """Return the streams of each connection."""
    groups: list[list[Stream]] = []
    channels = books = 0
    for stream, args in wanted.items():
        book = stream.feed == "book"
        if not groups or channels + len(args) > MAX_CHANNELS or (book and books == MAX_BOOKS):
            groups.append([])
            channels = books = 0
        groups[-1].append(stream)
        channels, books = channels + len(args), books + book
    return groups


def _messages(deed: Literal["subscribe", "unsubscribe"], args: Sequence[dict[str, str]]) -> list[bytes]:
    return [
        msgspec.json.encode({"id": f"{deed}{k // BATCH + 1}", "op": deed, "args": args[k : k + BATCH]})
        for k in range(0, len(args), BATCH)
    ]
