"""OKX as the playback server shows it: an ack for each argument, text pongs, books pushed whole on subscribe."""

from __future__ import annotations

import json
from collections.abc import Callable
from heapq import merge
from pathlib import Path
from typing import Any

from pipelines.sources.files import blocks
from tests.playback.market import START_MS, Forced, Funding, Market, Quote, Trade, Update, price
from tests.playback.server import Frame


def key_of(arg: dict[str, str]) -> str:
    """Return the subscription an argument names."""
    return f"{arg['channel']}:{arg.get('instId') or arg.get('instType', '')}"


class Okx:
    """OKX. `listings` by instType; `matches` by instrument, oldest first, as REST shows them."""

    venue = "okx"

    def __init__(self, symbols: list[str], frames: list[Frame]) -> None:
        self.symbols = symbols
        self.frames = frames
        self.listings: dict[str, list[dict[str, Any]]] = {"SPOT": [], "SWAP": [], "FUTURES": []}
        self.matches: dict[str, list[dict[str, Any]]] = {}
        self.snapshots: dict[str, Callable[[int], str]] = {}
        self.now_ms = START_MS

    def join(self, other: Okx) -> None:
        """Take another's instruments in, its frames among ours in the order of time, as one venue sends them."""
        self.symbols += other.symbols
        self.frames = list(merge(self.frames, other.frames, key=lambda frame: frame.ms))
        self.matches |= other.matches
        self.snapshots |= other.snapshots
        for kind, rows in other.listings.items():
            self.listings[kind] += rows

    def opens(self, path: str) -> bool:
        """The public socket."""
        return path == "/ws/v5/public"

    def control(self, message: str, keys: set[str]) -> list[str]:
        """Answer each argument; a book subscribed to anew is pushed whole."""
        if message == "ping":
            return ["pong"]
        request = json.loads(message)
        said: list[str] = []
        for arg in request["args"]:
            key = key_of(arg)
            if request["op"] == "subscribe":
                keys.add(key)
                said.append(json.dumps({"event": "subscribe", "arg": arg, "connId": "f00dbeef"}))
                said += [self.snapshots[key](self.now_ms)] if key in self.snapshots else []
            else:
                keys.discard(key)
                said.append(json.dumps({"event": "unsubscribe", "arg": arg, "connId": "f00dbeef"}))
        return said

    def rest(self, path: str, query: dict[str, str]) -> Any:
        """Answer what a recorder asks for."""
        native = query.get("instId", "")
        match path.removeprefix("/api/v5/"):
            case "public/time":
                data: list[Any] = [{"ts": str(START_MS)}]
            case "public/instruments":
                data = self.listings.get(query["instType"], [])
            case "market/candles" | "market/history-candles":
                data = [[str(START_MS - 86_400_000), "1", "1", "1", "1", "10", "10", "10", "1"]]
            case "market/history-trades":
                before = int(query.get("after") or 2**62)
                older = [row for row in self._past(native) if int(row["tradeId"]) < before]
                data = older[::-1][: int(query.get("limit", 100))]
            case "market/trades":
                data = self._past(native)[::-1][:100]
            case _:
                return None
        return {"code": "0", "msg": "", "data": data}

    def _past(self, native: str) -> list[dict[str, Any]]:
        return [row for row in self.matches.get(native, []) if int(row["ts"]) <= self.now_ms]


def made(native: str, kind: str) -> Okx:
    """Return one instrument, made of frames in the true format; of a swap sizes are contracts."""
    market = Market()
    found = Okx([native], [frame for event in market.events for frame in _frames(native, event)])
    found.snapshots[f"books:{native}"] = lambda ms: _book(native, market.book(ms), "snapshot")
    row = {"instType": kind, "instId": native, "tickSz": "0.1", "lotSz": "1", "state": "live"}
    if kind == "SPOT":
        row |= {"baseCcy": "BTC", "quoteCcy": "USDT", "ctVal": "", "ctMult": "", "ctValCcy": "", "ctType": "", "uly": ""}
    elif native.startswith("BTC-USDT"):
        row |= {"baseCcy": "", "quoteCcy": "", "settleCcy": "USDT", "ctVal": "0.01", "ctMult": "1", "ctValCcy": "BTC"}
        row |= {"ctType": "linear", "uly": "BTC-USDT", "instFamily": "BTC-USDT"}
    else:
        row |= {"baseCcy": "", "quoteCcy": "", "settleCcy": "BTC", "ctVal": "100", "ctMult": "1", "ctValCcy": "USD"}
        row |= {"ctType": "inverse", "uly": "BTC-USD", "instFamily": "BTC-USD"}
    found.listings[kind] = [row]
    found.matches[native] = [_match(native, trade) for trade in market.trades()]
    return found


def _match(native: str, trade: Trade) -> dict[str, Any]:
    side = "buy" if trade.buy else "sell"
    row = {"instId": native, "tradeId": str(trade.id), "px": price(trade.ticks), "sz": str(trade.lots), "side": side}
    return row | {"ts": str(trade.ms), "source": "0"}


def _push(channel: str, native: str, row: dict[str, Any]) -> Frame:
    arg = {"channel": channel, "instId": native}
    return Frame(f"{channel}:{native}", json.dumps({"arg": arg, "data": [row]}, separators=(",", ":")), int(row["ts"]))


def _book(native: str, update: Update, action: str) -> str:
    row = {
        "asks": [[price(p), str(q), "0", "1"] for p, q in update.asks.items()],
        "bids": [[price(p), str(q), "0", "1"] for p, q in update.bids.items()],
        "ts": str(update.ms),
        "checksum": 0,
        "seqId": update.number * 10,
        "prevSeqId": -1 if action == "snapshot" else update.number * 10 - 10,
    }
    return json.dumps({"arg": {"channel": "books", "instId": native}, "action": action, "data": [row]}, separators=(",", ":"))


def _frames(native: str, event: Any) -> list[Frame]:
    match event:
        case Trade():
            return [_push("trades", native, _match(native, event) | {"count": "1", "seqId": event.id})]
        case Update():
            return [Frame(f"books:{native}", _book(native, event, "update"), event.ms)]
        case Quote():
            row = {"asks": [[price(event.ask), str(event.ask_lots), "0", "1"]], "ts": str(event.ms), "seqId": event.number}
            return [_push("bbo-tbt", native, row | {"bids": [[price(event.bid), str(event.bid_lots), "0", "1"]]})]
        case Forced() if native.endswith("-SWAP"):
            side, holder = ("sell", "long") if event.long else ("buy", "short")
            detail = {
                "bkLoss": "0",
                "bkPx": price(event.ticks),
                "ccy": "",
                "posSide": holder,
                "side": side,
                "sz": str(event.lots),
            }
            family = native.removesuffix("-SWAP")
            row = {"details": [detail | {"ts": str(event.ms)}], "instFamily": family, "instId": native, "instType": "SWAP"}
            arg = {"channel": "liquidation-orders", "instType": "SWAP"}
            return [Frame("liquidation-orders:SWAP", json.dumps({"arg": arg, "data": [row | {"uly": family}]}), event.ms)]
        case Funding() if native.endswith("-SWAP"):
            row = {"instType": "SWAP", "instId": native, "fundingRate": f"0.{event.rate:06d}", "nextFundingRate": ""}
            row |= {"fundingTime": str(event.ms + 3_600_000), "nextFundingTime": str(event.ms + 7_200_000), "ts": str(event.ms)}
            return [_push("funding-rate", native, row)]
    return []


def recorded(capture: Path) -> Okx:
    """Return what a capture of cryptofeed's holds: its frames and listings. The books' first frames are their snapshots."""
    found = Okx([], [])
    for lines in blocks(capture, 0, 4096):
        for line in lines:
            row = json.loads(line)
            if row["t"] == "http" and "instType=" in row["url"]:
                kind = row["url"].partition("instType=")[2].partition("&")[0]
                if kind in found.listings:
                    found.listings[kind] = json.loads(row["data"])["data"]
            elif row["t"] == "recv":
                frame = json.loads(row["data"])
                if "event" not in frame and frame["arg"]["channel"] != "tickers":
                    found.frames.append(Frame(key_of(frame["arg"]), row["data"], int(row["ts"] * 1000)))
    natives = {frame.key.partition(":")[2] for frame in found.frames}
    found.symbols = sorted(natives)
    for kind, rows in found.listings.items():
        found.listings[kind] = [row for row in rows if row["instId"] in natives]
    return found
