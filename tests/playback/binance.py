"""Binance as the playback server shows it: combined streams on routes, acks by id, REST by path."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from pipelines.sources.files import blocks
from tests.playback.market import START_MS, Forced, Funding, Market, Quote, Trade, Update, price, size
from tests.playback.server import Frame

DAY_MS = 86_400_000


class Binance:
    """One market of Binance. `depth` are REST snapshots by symbol, `info` the listings."""

    def __init__(self, venue: str, api: str, symbols: list[str], frames: list[Frame]) -> None:
        self.venue = venue
        self.api = api
        self.symbols = symbols
        self.frames = frames
        self.now_ms = START_MS
        self.depth: dict[str, Callable[[int], Any]] = {}
        self.info: list[dict[str, Any]] = []
        self.aggregates: dict[str, list[dict[str, Any]]] = {}

    def opens(self, path: str) -> bool:
        """Combined streams, on any route."""
        return path in ("/stream", "/market/stream", "/public/stream")

    def control(self, message: str, keys: set[str]) -> list[str]:
        """Acknowledge; unknown streams too."""
        request = json.loads(message)
        if request["method"] == "SUBSCRIBE":
            keys.update(request["params"])
        else:
            keys.difference_update(request["params"])
        return [json.dumps({"result": None, "id": request["id"]})]

    def rest(self, path: str, query: dict[str, str]) -> Any:
        """Answer what a recorder asks for."""
        name = path.removeprefix(f"{self.api}/")
        symbol = query.get("symbol", "")
        match name:
            case "time":
                return {"serverTime": START_MS}
            case "exchangeInfo":
                return {"symbols": self.info}
            case "klines":
                width = DAY_MS if query["interval"] == "1d" else 60_000
                start = START_MS // width * width - width
                return [[start, "1", "1", "1", "1", "10", start + width - 1, "10", 1, "5", "5", "0"]]
            case "depth":
                return self.depth[symbol](self.now_ms) if symbol in self.depth else None
            case "openInterest":
                return {"symbol": symbol, "openInterest": "123.5", "time": START_MS}
            case "aggTrades":
                first, most = int(query["fromId"]), int(query["limit"])
                return [row for row in self.aggregates.get(symbol, []) if row["a"] >= first and row["T"] <= self.now_ms][:most]
        return None


def made(venue: str, api: str, native: str, *, contract: str = "") -> Binance:
    """Return a market of one symbol, made of frames in the true format."""
    market, stream = Market(), native.lower()
    futures = venue != "binance-spot"
    told = [event for event in market.events if futures or not isinstance(event, Forced | Funding)]
    frames = [_frame(stream, native, event, futures=futures, whole=bool(contract)) for event in told]
    found = Binance(venue, api, [native], frames)
    amount = str if contract else size

    def depth(ms: int) -> dict[str, Any]:
        book = market.book(ms)
        bids = [[price(p), amount(lots)] for p, lots in sorted(book.bids.items(), reverse=True)]
        asks = [[price(p), amount(lots)] for p, lots in sorted(book.asks.items())]
        times = {"E": book.ms, "T": book.ms} if futures else {}
        return {"lastUpdateId": book.number, **times, "bids": bids, "asks": asks}

    found.depth[native] = depth
    found.info = [listing(native, "BTC", "USD" if contract else "USDT", contract=contract, futures=futures)]
    found.aggregates[native] = [_aggregate(trade, whole=bool(contract)) for trade in market.trades()]
    return found


def listing(native: str, base: str, quote: str, *, contract: str = "", futures: bool) -> dict[str, Any]:
    """Return an instrument as `exchangeInfo` lists it."""
    filters = [{"filterType": "PRICE_FILTER", "tickSize": "0.1"}, {"filterType": "LOT_SIZE", "stepSize": "0.001"}]
    row: dict[str, Any] = {"symbol": native, "baseAsset": base, "quoteAsset": quote, "status": "TRADING", "filters": filters}
    if futures:
        row |= {"contractType": "PERPETUAL", "marginAsset": base if contract else quote, "deliveryDate": 4_133_404_800_000}
    if contract:
        row |= {"contractSize": int(contract), "contractStatus": "TRADING"}
    return row


def _aggregate(trade: Trade, *, whole: bool) -> dict[str, Any]:
    amount = str(trade.lots) if whole else size(trade.lots)
    fill = 5 * trade.id
    return {"a": trade.id, "p": price(trade.ticks), "q": amount, "f": fill, "l": fill + 1, "T": trade.ms, "m": not trade.buy}


def _frame(stream: str, native: str, event: Any, *, futures: bool, whole: bool) -> Frame:
    amount = str if whole else size
    match event:
        case Trade():
            name = "aggTrade"
            data: dict[str, Any] = {"e": "aggTrade", "E": event.ms, "s": native, **_aggregate(event, whole=whole)}
        case Update():
            name = "depth@100ms"
            data = {"e": "depthUpdate", "E": event.ms, "s": native, "U": event.number, "u": event.number}
            data |= {"T": event.ms, "pu": event.number - 1} if futures else {}
            data |= {"b": [[price(p), amount(q)] for p, q in event.bids.items()]}
            data |= {"a": [[price(p), amount(q)] for p, q in event.asks.items()]}
        case Quote():
            name, data = "bookTicker", {"u": event.number, "s": native, "b": price(event.bid), "B": amount(event.bid_lots)}
            data |= {"a": price(event.ask), "A": amount(event.ask_lots)}
            data |= {"e": "bookTicker", "T": event.ms, "E": event.ms} if futures else {}
        case Forced():
            side = "SELL" if event.long else "BUY"
            order: dict[str, Any] = {
                "s": native,
                "S": side,
                "o": "LIMIT",
                "f": "IOC",
                "q": amount(event.lots),
                "p": price(event.ticks),
            }
            order |= {"ap": price(event.ticks), "X": "FILLED", "l": amount(event.lots), "z": amount(event.lots), "T": event.ms}
            name, data = "forceOrder", {"e": "forceOrder", "E": event.ms, "o": order}
        case Funding():
            name = "markPrice"
            data = {"e": "markPriceUpdate", "E": event.ms, "s": native, "p": price(event.mark), "i": price(event.mark)}
            data |= {"P": price(event.mark), "r": f"0.{event.rate:06d}", "T": event.ms + 3_600_000}
    return Frame(f"{stream}@{name}", json.dumps({"stream": f"{stream}@{name}", "data": data}, separators=(",", ":")), event.ms)


def _constant(answer: Any, _: int) -> Any:
    return answer


def recorded(venue: str, api: str, capture: Path) -> Binance:
    """Return what a capture of cryptofeed's holds: its frames, depth answers and listings."""
    found = Binance(venue, api, [], [])
    for lines in blocks(capture, 0, 4096):
        for line in lines:
            row = json.loads(line)
            if row["t"] == "recv":
                stream = json.loads(row["data"])["stream"]
                if "@kline" in stream:
                    continue  # nobody asks for them
                found.frames.append(Frame(stream, row["data"], int(row["ts"] * 1000) + 1000))
                if stream.endswith("@aggTrade"):
                    data = json.loads(row["data"])["data"]
                    found.aggregates.setdefault(data["s"], []).append(data)
            elif row["t"] == "http" and "/depth?" in row["url"]:
                symbol = row["url"].partition("symbol=")[2].partition("&")[0]
                answer = json.loads(row["data"])
                found.depth.setdefault(symbol, partial(_constant, answer))
            elif row["t"] == "http" and "exchangeInfo" in row["url"]:
                found.info = json.loads(row["data"])["symbols"]
    names = {frame.key.partition("@")[0].upper() for frame in found.frames}
    found.info = [row for row in found.info if row["symbol"] in names]
    found.symbols = sorted(names)
    return found


def told_as_aggregates(venue: str, api: str, capture: Path, listed: dict[str, Any], count: int) -> Binance:
    """Return the first `count` frames of a capture of lines `<receive time> <frame>`, as the streams that we record.

    Each single trade is told as an aggregate of its own under the same id, and the unthrottled depth as that of 100 ms.
    """
    native = listed["symbol"]
    found = Binance(venue, api, [native], [])
    found.info = [listed]
    found.aggregates[native] = []
    for line in chain.from_iterable(blocks(capture, 0, 4096)):
        frame = json.loads(line.split(b" ", 1)[1])
        if "stream" not in frame:
            found.depth[native] = partial(_constant, frame)
            continue
        data, kind = frame["data"], frame["stream"].partition("@")[2]
        if kind == "trade":
            row = {"a": data["t"], "p": data["p"], "q": data["q"], "f": data["t"], "l": data["t"], "T": data["T"], "m": data["m"]}
            found.aggregates[native].append(row)
            kind, data = "aggTrade", {"e": "aggTrade", "E": data["E"], "s": native, **row}
        elif kind == "depth@0ms":
            kind = "depth@100ms"
        stream = f"{native.lower()}@{kind}"
        ms = data.get("E", found.frames[-1].ms if found.frames else 0)
        found.frames.append(Frame(stream, json.dumps({"stream": stream, "data": data}, separators=(",", ":")), ms))
        if len(found.frames) == count:
            break
    return found
