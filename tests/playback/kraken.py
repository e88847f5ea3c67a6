"""Kraken v2 as the playback server shows it: an ack for each symbol, history and books first, a checksum each update."""

from __future__ import annotations

import json
import zlib
from typing import Any

from tests.playback.coinbase import iso
from tests.playback.market import START_MS, Market, Quote, Trade, Update, price
from tests.playback.server import Frame

SYMBOL = "BTC/USD"
DEPTH = 25


def quantity(lots: int) -> str:
    """Return a size as Kraken writes it."""
    return f"{lots // 1000}.{lots % 1000:03d}00000"


def level(ticks: int, lots: int) -> str:
    """Return a level of the book; numbers keep their zeros."""
    return f'{{"price":{price(ticks)},"qty":{quantity(lots)}}}'


class Kraken:
    """Kraken spot with one symbol, made of frames in the true format."""

    venue = "kraken"

    def __init__(self) -> None:
        self.symbols = ["BTC-USD"]
        self.market = Market()
        self.now_ms = START_MS
        first = self.market.snapshot
        self._bids = dict(sorted(first.bids.items(), reverse=True)[:DEPTH])
        self._asks = dict(sorted(first.asks.items())[:DEPTH])
        self._whole = [(first.ms, self._book(self._bids, self._asks, first.ms, "snapshot"))]
        self.frames = [frame for event in self.market.events for frame in self._frames(event)]

    def opens(self, path: str) -> bool:
        """Version 2 alone."""
        return path == "/v2"

    def control(self, message: str, keys: set[str]) -> list[str]:
        """Acknowledge each symbol."""
        request = json.loads(message)
        if request["method"] == "ping":
            return [json.dumps({"method": "pong", "req_id": request.get("req_id")})]
        params = request["params"]
        said: list[str] = []
        for symbol in params["symbol"]:
            known = symbol == SYMBOL
            head = {"method": request["method"], "req_id": request.get("req_id"), "success": known}
            if not known:
                said.append(json.dumps({**head, "error": f"Currency pair not supported {symbol}", "symbol": symbol}))
                continue
            said.append(json.dumps({**head, "result": {"channel": params["channel"], "symbol": symbol}}))
            key = f"{params['channel']}:{symbol}"
            (keys.add if request["method"] == "subscribe" else keys.discard)(key)
            if request["method"] == "subscribe" and params["channel"] == "trade":
                said.append(self._push("trade", "snapshot", ",".join(map(self._trade, self.market.past(self.now_ms)[-3:]))))
            if request["method"] == "subscribe" and params["channel"] == "book":
                said.append([text for ms, text in self._whole if ms <= self.now_ms][-1])
        return said

    def rest(self, path: str, query: dict[str, str]) -> Any:
        """Answer what a recorder asks for."""
        past = self.market.past(self.now_ms)
        match path.removeprefix("/0/public/"):
            case "Time":
                result: dict[str, Any] = {"unixtime": START_MS // 1000, "rfc1123": "Fri, 20 Nov 26 20:00:00 +0000"}
            case "AssetPairs":
                row = {"altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD", "pair_decimals": 1}
                result = {"XXBTZUSD": row | {"lot_decimals": 8, "tick_size": "0.1", "status": "online"}}
            case "OHLC":
                start = START_MS // 86_400_000 * 86_400 - 86_400
                result = {"XXBTZUSD": [[start, "1", "1", "1", "1", "1", "10", 5]], "last": start}
            case "Trades":
                rows = [
                    [price(t.ticks), quantity(t.lots), t.ms / 1000, "b" if t.buy else "s", "m", "", t.id]
                    for t in past[-int(query.get("count", 1000)) :]
                ]
                result = {"XXBTZUSD": rows, "last": str(past[-1].ms * 10**6)}
            case _:
                return None
        return {"error": [], "result": result}

    def _push(self, channel: str, kind: str, rows: str) -> str:
        return f'{{"channel":"{channel}","type":"{kind}","data":[{rows}]}}'

    def _trade(self, trade: Trade) -> str:
        side = "buy" if trade.buy else "sell"
        return (
            f'{{"symbol":"{SYMBOL}","side":"{side}","price":{price(trade.ticks)},"qty":{quantity(trade.lots)},'
            f'"ord_type":"market","trade_id":{trade.id},"timestamp":"{iso(trade.ms)}"}}'
        )

    def _book(self, bids: dict[int, int], asks: dict[int, int], ms: int, kind: str) -> str:
        sides = [",".join(level(p, q) for p, q in side.items()) for side in (bids, asks)]
        told = f'"checksum":{self._checksum()},"timestamp":"{iso(ms)}"'
        rows = f'{{"symbol":"{SYMBOL}","bids":[{sides[0]}],"asks":[{sides[1]}],{told}}}'
        return self._push("book", kind, rows)

    def _checksum(self) -> int:
        asks, bids = sorted(self._asks.items())[:10], sorted(self._bids.items(), reverse=True)[:10]
        texts = [text.replace(".", "").lstrip("0") for p, q in asks + bids for text in (price(p), quantity(q))]
        return zlib.crc32("".join(texts).encode())

    def _update(self, update: Update) -> str:
        """Apply an update as a client must, which cuts the book to its depth; send the levels that fall in again."""
        for side, changed, best_high in ((self._bids, update.bids, True), (self._asks, update.asks, False)):
            side.update(changed)
            kept = sorted(((p, q) for p, q in side.items() if q), reverse=best_high)[:DEPTH]
            side.clear()
            side.update(kept)
        self._whole.append((update.ms, self._book(self._bids, self._asks, update.ms, "snapshot")))
        return self._book(update.bids, update.asks, update.ms, "update")

    def _frames(self, event: Any) -> list[Frame]:
        match event:
            case Trade():
                return [Frame(f"trade:{SYMBOL}", self._push("trade", "update", self._trade(event)), event.ms)]
            case Update():
                return [Frame(f"book:{SYMBOL}", self._update(event), event.ms)]
            case Quote():
                row = (
                    f'{{"symbol":"{SYMBOL}","bid":{price(event.bid)},"bid_qty":{quantity(event.bid_lots)},"ask":{price(event.ask)},'
                    f'"ask_qty":{quantity(event.ask_lots)},"last":{price(event.bid)},"timestamp":"{iso(event.ms)}"}}'
                )
                return [Frame(f"ticker:{SYMBOL}", self._push("ticker", "update", row), event.ms)]
        return []
