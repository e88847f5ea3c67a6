"""Binance spot and USD-M, and the demo exchange, which speaks USD-M's protocol.

USD-M serves its streams on two routes, `/market` (aggTrade) and `/public` (bookTicker); a socket on the wrong one is
acknowledged and stays silent, so every stream has its route here. An unknown symbol is acknowledged too: only its
first frame proves a stream.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import msgspec
import pyarrow as pa

from pipelines.market import Instrument
from pipelines.tape import Decoded
from pipelines.venues import binance_archive, binance_frames, binance_names, binance_quotes, binance_rest, csv_trades
from pipelines.venues.binance_frames import Sight
from pipelines.venues.binance_quotes import Quotes
from pipelines.venues.binance_rest import Request
from pipelines.venues.columns import Tape
from pipelines.venues.csv_trades import Layout

WEIGHT_HEADER: Final = "X-MBX-USED-WEIGHT-1M"
MAX_STREAMS: Final = 1024
"""Streams a connection may carry."""
MAX_PARAMS: Final = 200
"""Streams named in one SUBSCRIBE."""

_FEED_OF: Final = {"aggTrade": "trades", "bookTicker": "quotes"}
_KLINE_WEIGHTS: Final = ((99, 1), (499, 2), (1000, 5), (1500, 10))
"""What candles weigh on USD-M, by the most of them that cost that."""


class _Market(NamedTuple):
    """Where a market is served, and what its requests weigh."""

    socket: str
    rest: str
    api: str
    routes: dict[str, str]
    weight_per_minute: int
    info_weight: int
    agg_weight: int


_MARKETS: Final = {
    "spot": _Market(
        "wss://stream.binance.com:9443",
        "https://api.binance.com",
        "/api/v3",
        {"aggTrade": "", "bookTicker": ""},
        weight_per_minute=6000,
        info_weight=20,
        agg_weight=4,
    ),
    "usdm": _Market(
        "wss://fstream.binance.com",
        "https://fapi.binance.com",
        "/fapi/v1",
        {"aggTrade": "/market", "bookTicker": "/public"},
        weight_per_minute=2400,
        info_weight=1,
        agg_weight=20,
    ),
}
_DEMO_REST: Final = "http://127.0.0.1:8765"


class Route(NamedTuple):
    """A connection to open.

    Attributes
    ----------
    name : str
        Like `market`; what `records.Connect.route` says.
    url : str
    subscribe : list of bytes
        Frames to send once it is open.
    streams : list of str
        What is subscribed: `btcusdt@aggTrade`.
    feeds : list of str
        `trades`, `quotes`.
    """

    name: str
    url: str
    subscribe: list[bytes]
    streams: list[str]
    feeds: list[str]


class Answer(NamedTuple):
    """What the server says about the connection itself.

    Attributes
    ----------
    kind : {'ack', 'error', 'shutdown'}
        `shutdown`: the server is about to close; open the replacement at once.
    id : int, str or None
        Of the request that is answered.
    text : str
        What went wrong.
    """

    kind: Literal["ack", "error", "shutdown"]
    id: int | str | None
    text: str


@dataclass(frozen=True)
class Binance:
    """A market of Binance: what to send it, and how to read what it sends.

    Attributes
    ----------
    name : str
        Ours: `binance-spot`, `binance-usdm`, `demo`.
    market : {'spot', 'usdm'}
        Whose protocol it speaks.
    """

    name: str
    market: Literal["spot", "usdm"]

    @property
    def rest_base(self) -> str:
        """Where REST requests go when there is no stand-in."""
        return _DEMO_REST if self.name == "demo" else _MARKETS[self.market].rest

    @property
    def weight_per_minute(self) -> int:
        """Weight of REST requests that the host allows an address in a minute."""
        return _MARKETS[self.market].weight_per_minute

    @property
    def _perpetual(self) -> str:
        return "-PERP" if self.market == "usdm" and self.name != "demo" else ""

    # Sockets

    def routes(self, symbols: Sequence[str], *, quotes: bool, base: str | None = None) -> list[Route]:
        """Return the connections that carry the trades, and if asked the best quotes, of `symbols`.

        Parameters
        ----------
        symbols : sequence of str
            The venue's own names.
        quotes : bool
        base : str, optional
            `http://host:port` of a stand-in.

        Raises
        ------
        ValueError
            If `base` is no such URL.
        """
        rest = base or (_DEMO_REST if self.name == "demo" else None)
        if rest is not None and not re.fullmatch(r"https?://[^/]+/?", rest):
            raise ValueError(f"{self.name}: endpoint was {rest!r}; use a URL like http://127.0.0.1:8765")
        socket = _MARKETS[self.market].socket if rest is None else rest.rstrip("/").replace("http", "ws", 1)
        by_path: dict[str, list[str]] = {}
        for event in ("aggTrade", "bookTicker") if quotes else ("aggTrade",):
            path = _MARKETS[self.market].routes[event]
            by_path.setdefault(path, []).extend(f"{symbol.lower()}@{event}" for symbol in symbols)
        return [
            self._route(path, socket, streams[k : k + MAX_STREAMS], k // MAX_STREAMS)
            for path, streams in by_path.items()
            for k in range(0, len(streams), MAX_STREAMS)
        ]

    def _route(self, path: str, socket: str, streams: list[str], number: int) -> Route:
        name = path.removeprefix("/") or "spot"
        events = dict.fromkeys(stream.rpartition("@")[2] for stream in streams)
        return Route(
            f"{name}-{number + 1}" if number else name,
            f"{socket}{path}/stream",
            self.subscribe(streams),
            streams,
            [_FEED_OF[event] for event in events],
        )

    def subscribe(self, streams: Sequence[str], method: str = "SUBSCRIBE", first_id: int = 1) -> list[bytes]:
        """Return the frames that subscribe to streams, or with `UNSUBSCRIBE` give them up."""
        return [
            msgspec.json.encode({"method": method, "params": streams[k : k + MAX_PARAMS], "id": first_id + n})
            for n, k in enumerate(range(0, len(streams), MAX_PARAMS))
        ]

    def answer(self, frame: bytes) -> Answer | None:
        """Return what the server says about the connection, None if the frame is data."""
        if frame.startswith(b'{"stream":') and b"serverShutdown" not in frame[:80]:
            return None
        try:
            event = binance_frames.unwrap(frame)
        except ValueError:
            return None
        if not isinstance(event, dict):
            return None
        if event.get("e") == "serverShutdown":
            return Answer("shutdown", None, "the server is about to close")
        asked = event.get("id")
        asked = asked if isinstance(asked, int | str) else None
        error = event.get("error", event)
        if isinstance(error, dict) and "code" in error and "msg" in error:
            return Answer("error", asked, f"{error['msg']} (code {error['code']})")
        return Answer("ack", asked, "") if "result" in event and "error" not in event else None

    def ids(self, frame: bytes) -> tuple[str, int, int] | None:
        """Return the venue's own name, first and last id of the trade in a frame; None if it bears none."""
        sight = binance_frames.glance(frame)
        return (sight.symbol, sight.trade_id, sight.trade_id) if sight else None

    def glance(self, frame: bytes) -> Sight | None:
        """Return which trade a frame bears: tape, the venue's own name, id; None if it bears none."""
        return binance_frames.glance(frame)

    def aggregate_ids(self, frames: Sequence[bytes]) -> list[tuple[str, int]] | None:
        """Return the venue's own name and id of each aggregate, None unless every frame is one."""
        return binance_frames.aggregate_ids(frames)

    def stream_of(self, frame: bytes) -> str | None:
        """Return the name of the stream a frame came on, None where it does not say."""
        if not frame.startswith(b'{"stream":"'):
            return None
        return frame[11 : frame.find(b'"', 11)].decode("utf-8", "replace")

    # Reading

    def decode(self, frames: Sequence[bytes | memoryview], tape: Tape = "agg") -> Decoded:
        """Read the trades in a batch of frames; see `binance_frames.decode`."""
        return binance_frames.decode(frames, tape)

    def decode_quotes(self, frames: Sequence[bytes | memoryview]) -> Quotes:
        """Read the best quotes in a batch of frames; see `binance_quotes.decode_quotes`."""
        return binance_quotes.decode_quotes(frames)

    def decode_rest(self, body: bytes, symbol: str) -> Decoded:
        """Read the answer to `agg_trades_request`; `symbol` is the venue's own name."""
        return binance_frames.decode_rest(body, symbol)

    def decode_rows(self, rows: Sequence[bytes | msgspec.Raw], symbol: str) -> Decoded:
        """Read aggregates as REST sends them, one by one; see `binance_frames.decode_rows`."""
        return binance_frames.decode_rows(rows, symbol)

    # REST

    def time_request(self) -> Request:
        """Ask for the server's time (`serverTime`, ms)."""
        return self._request("time", 1)

    def instruments_request(self) -> Request:
        """Ask for all instruments and their rules."""
        market = _MARKETS[self.market]
        params = {"showPermissionSets": "false"} if self.market == "spot" else {}
        return self._request("exchangeInfo", market.info_weight, **params)

    def daily_klines_request(self, native: str, limit: int = 31) -> Request:
        """Ask for the newest daily candles, the unfinished one included."""
        return self._klines_request(native, "1d", limit)

    def minute_klines_request(self, native: str, limit: int = 1000) -> Request:
        """Ask for the newest one-minute candles, the unfinished one included."""
        return self._klines_request(native, "1m", limit)

    def agg_trades_request(self, native: str, from_id: int, limit: int = 1000) -> Request:
        """Ask for aggregates from an id on, that id included."""
        return self._request("aggTrades", _MARKETS[self.market].agg_weight, symbol=native, fromId=str(from_id), limit=str(limit))

    def _klines_request(self, native: str, interval: str, limit: int) -> Request:
        weight = 2 if self.market == "spot" else next(w for most, w in _KLINE_WEIGHTS if limit <= most)
        return self._request("klines", weight, symbol=native, interval=interval, limit=str(limit))

    def _request(self, name: str, weight: int, **params: str) -> Request:
        return Request(f"{_MARKETS[self.market].api}/{name}", params, weight)

    def parse_error(self, body: bytes) -> str | None:
        """Return what went wrong if a REST answer is an error, else None."""
        return binance_rest.parse_error(body)

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """Read the answer to `instruments_request`; see `binance_rest.parse_instruments`."""
        return binance_rest.parse_instruments(body, self.name, self._perpetual)

    def parse_klines(self, body: bytes) -> pa.Table:
        """Read the answer to a request for candles; see `binance_rest.parse_klines`."""
        return binance_rest.parse_klines(body)

    # Names

    def guess(self, text: str) -> Instrument:
        """Return the instrument called `text` where no instruments are at hand; see `binance_names.guess`."""
        return binance_names.guess(text, self.name, self._perpetual)

    def normalise(self, text: str, instruments: Sequence[Instrument]) -> Instrument:
        """Return the instrument called `text`; see `binance_names.normalise`."""
        return binance_names.normalise(text, instruments)

    # Archives

    def archive_layout(self, first_line: bytes) -> Layout | None:
        """Return how the lines of an archive are laid out, None if it is none of Binance's trades."""
        return binance_archive.layout_of(first_line)

    def decode_archive(self, data: bytes, layout: Layout, symbol: str, first_line: int = 1) -> Decoded:
        """Read complete lines of an archive of `symbol`; see `csv_trades.decode`."""
        return csv_trades.decode(data, layout, symbol, first_line)
