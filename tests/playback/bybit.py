"""Bybit as the playback server shows it: one ack a message, its own pongs, books pushed whole on subscribe."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.playback.market import START_MS, Forced, Funding, Market, Quote, Trade, Update, price, size
from tests.playback.server import Frame

RESTS = {"spot": 60, "linear": 1000, "inverse": 1000}
"""Trades that `recent-trade` shows at most."""


class Bybit:
    """One market of Bybit with one symbol, made of frames in the true format. Inverse sizes are contracts of 1 USD.

    `most`: how many of the newest trades REST shows.
    """

    def __init__(self, category: str, native: str, symbol: str, most: int = 1000) -> None:
        self.venue = f"bybit-{category}"
        self.category = category
        self.most = min(most, RESTS[category])
        self.native = native
        self.symbols = [symbol]
        self.market = Market()
        self.now_ms = START_MS
        self.frames = [frame for event in self.market.events for frame in self._frames(event)]

    def opens(self, path: str) -> bool:
        """Each market has its own path."""
        return path == f"/v5/public/{self.category}"

    def control(self, message: str, keys: set[str]) -> list[str]:
        """Acknowledge a message as one; refuse it whole if a topic is bad."""
        request = json.loads(message)
        head = {"conn_id": "0f7c0a5e", "req_id": request.get("req_id", ""), "op": request["op"]}
        if request["op"] == "ping":
            return [json.dumps({"success": True, "ret_msg": "pong", **head})]
        bad = [topic for topic in request["args"] if not topic.endswith(f".{self.native}")]
        if bad:
            return [json.dumps({"success": False, "ret_msg": f"error:handler not found,topic:{bad[0]}", **head})]
        said = [json.dumps({"success": True, "ret_msg": "subscribe" if self.category == "spot" else "", **head})]
        for topic in request["args"]:
            (keys.add if request["op"] == "subscribe" else keys.discard)(topic)
            if request["op"] == "subscribe" and topic.startswith("orderbook.") and not topic.startswith("orderbook.1."):
                said.append(self._book(topic, self.market.book(self.now_ms), "snapshot"))
        return said

    def rest(self, path: str, query: dict[str, str]) -> Any:
        """Answer what a recorder asks for."""
        if query.get("category", self.category) != self.category:
            return None
        match path.removeprefix("/v5/market/"):
            case "time":
                result: dict[str, Any] = {"timeSecond": str(START_MS // 1000), "timeNano": str(START_MS * 10**6)}
            case "instruments-info":
                result = {"category": self.category, "list": [self._listing()], "nextPageCursor": ""}
            case "kline":
                start = START_MS // 86_400_000 * 86_400_000 - 86_400_000
                result = {"category": self.category, "symbol": self.native, "list": [[str(start), *["1"] * 4, "10", "10"]]}
            case "recent-trade":
                newest = self.market.past(self.now_ms)[::-1][: min(int(query.get("limit", 500)), self.most)]
                result = {"category": self.category, "list": [self._recent(trade) for trade in newest]}
            case _:
                return None
        return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": START_MS}

    def id(self, trade: Trade) -> str:
        """Return a trade's id: a number on spot, else a UUID."""
        return str(2_290_000_000_000_000_000 + trade.id) if self.category == "spot" else str(uuid.UUID(int=(trade.id << 65) + 7))

    def amount(self, lots: int) -> str:
        """Return a size as text."""
        return str(lots) if self.category == "inverse" else size(lots)

    def _listing(self) -> dict[str, Any]:
        base, quote = ("BTC", "USD") if self.category == "inverse" else ("BTC", "USDT")
        row: dict[str, Any] = {"symbol": self.native, "baseCoin": base, "quoteCoin": quote, "status": "Trading"}
        row["priceFilter"] = {"tickSize": "0.1"}
        if self.category == "spot":
            return row | {"lotSizeFilter": {"basePrecision": "0.001", "minOrderQty": "0.001"}}
        kind = "LinearPerpetual" if self.category == "linear" else "InversePerpetual"
        lot = {"qtyStep": "0.001" if self.category == "linear" else "1"}
        return row | {"contractType": kind, "settleCoin": quote, "lotSizeFilter": lot, "deliveryTime": "0"}

    def _recent(self, trade: Trade) -> dict[str, Any]:
        side = "Buy" if trade.buy else "Sell"
        row = {"execId": self.id(trade), "symbol": self.native, "price": price(trade.ticks), "size": self.amount(trade.lots)}
        return row | {"side": side, "time": str(trade.ms), "isBlockTrade": False, "isRPITrade": False, "seq": str(trade.id)}

    def _book(self, topic: str, update: Update, kind: str) -> str:
        data = {
            "s": self.native,
            "b": [[price(p), self.amount(q)] for p, q in update.bids.items()],
            "a": [[price(p), self.amount(q)] for p, q in update.asks.items()],
            "u": update.number,
            "seq": update.number,
        }
        return json.dumps({"topic": topic, "type": kind, "ts": update.ms + 2, "data": data, "cts": update.ms})

    def _frames(self, event: Any) -> list[Frame]:
        futures = self.category != "spot"
        match event:
            case Trade():
                side = "Buy" if event.buy else "Sell"
                row: dict[str, Any] = {"T": event.ms, "s": self.native, "S": side, "v": self.amount(event.lots)}
                row |= {"p": price(event.ticks), "i": self.id(event), "BT": False, "RPI": False, "seq": event.id}
                return [self._push("publicTrade", "snapshot", event.ms, [row])]
            case Update():
                topic = f"orderbook.200.{self.native}"
                return [Frame(topic, self._book(topic, event, "delta"), event.ms)]
            case Quote():
                data = {"s": self.native, "b": [[price(event.bid), self.amount(event.bid_lots)]], "u": event.number}
                data |= {"a": [[price(event.ask), self.amount(event.ask_lots)]], "seq": event.number}
                return [self._push("orderbook.1", "snapshot", event.ms, data, cts=event.ms)]
            case Forced() if futures:
                row = {"T": event.ms, "s": self.native, "S": "Buy" if event.long else "Sell", "v": self.amount(event.lots)}
                return [self._push("allLiquidation", "snapshot", event.ms, [row | {"p": price(event.ticks)}])]
            case Funding() if futures:
                data = {"symbol": self.native, "fundingRate": f"0.{event.rate:06d}", "markPrice": price(event.mark)}
                data |= {"nextFundingTime": str(event.ms + 3_600_000), "openInterest": "51233"}
                return [self._push("tickers", "snapshot", event.ms, data)]
        return []

    def _push(self, channel: str, kind: str, ms: int, data: Any, **more: Any) -> Frame:
        topic = f"{channel}.{self.native}"
        return Frame(topic, json.dumps({"topic": topic, "type": kind, "ts": ms, "data": data, **more}, separators=(",", ":")), ms)
