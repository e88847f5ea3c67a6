"""Coinbase as the playback server shows it, Exchange and Advanced Trade: acks list everything, history comes first."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from tests.playback.market import START_MS, TICK, Market, Quote, Trade, Update, price, size
from tests.playback.server import NUMBER, Frame

PRODUCT = "BTC-USD"


def iso(ms: int) -> str:
    """Return a time as Coinbase writes it."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def maker(trade: Trade) -> str:
    """Return the side that Coinbase tells: the maker's."""
    return "sell" if trade.buy else "buy"


class Exchange:
    """Coinbase Exchange with one product, made of frames in the true format."""

    venue = "coinbase"

    def __init__(self) -> None:
        self.symbols = [PRODUCT]
        self.market = Market()
        self.now_ms = START_MS
        self.frames = [frame for event in self.market.events for frame in self._frames(event)]

    def opens(self, path: str) -> bool:
        """The root."""
        return path in ("", "/")

    def control(self, message: str, keys: set[str]) -> list[str]:
        """Acknowledge with everything that is subscribed; the last trade and the whole book come at once."""
        request = json.loads(message)
        names = [c if isinstance(c, str) else c["name"] for c in request["channels"]]
        wanted = {f"{name}:{product}" for name in names for product in request.get("product_ids", [PRODUCT])}
        new = wanted - keys
        (keys.update if request["type"] == "subscribe" else keys.difference_update)(wanted)
        channels = [{"name": key.partition(":")[0], "product_ids": [key.partition(":")[2]], "account_ids": None} for key in keys]
        said = [json.dumps({"type": "subscriptions", "channels": channels})]
        if request["type"] == "subscribe" and f"matches:{PRODUCT}" in new:
            said.append(json.dumps({"type": "last_match", **self._match(self.market.past(self.now_ms)[-1])}))
        if request["type"] == "subscribe" and f"level2_batch:{PRODUCT}" in new:
            said.append(self._snapshot())
        return said

    def rest(self, path: str, query: dict[str, str]) -> Any:
        """Answer what a recorder asks for."""
        match path:
            case "/time":
                return {"iso": iso(START_MS), "epoch": START_MS / 1000}
            case "/products":
                row = {"id": PRODUCT, "base_currency": "BTC", "quote_currency": "USD", "quote_increment": "0.1"}
                return [row | {"base_increment": "0.001", "status": "online", "trading_disabled": False}]
            case "/products/BTC-USD/candles":
                return [[START_MS // 86_400_000 * 86_400 - 86_400, 1, 1, 1, 1, 10]]
            case "/products/BTC-USD/trades":
                before = int(query.get("after") or 2**62)
                older = [trade for trade in self.market.past(self.now_ms) if trade.id < before][::-1][
                    : int(query.get("limit", 1000))
                ]
                return [{k: v for k, v in self._match(trade).items() if k not in ("product_id", "sequence")} for trade in older]
        return None

    def _match(self, trade: Trade) -> dict[str, Any]:
        row = {"trade_id": trade.id, "side": maker(trade), "size": f"{size(trade.lots)}00000", "price": price(trade.ticks)}
        return row | {"product_id": PRODUCT, "sequence": 7 * trade.id, "time": iso(trade.ms)}

    def _snapshot(self) -> str:
        first = self.market.book(self.now_ms)
        bids = [[price(p), size(q)] for p, q in sorted(first.bids.items(), reverse=True)]
        asks = [[price(p), size(q)] for p, q in sorted(first.asks.items())]
        return json.dumps({"type": "snapshot", "product_id": PRODUCT, "asks": asks, "bids": bids, "time": iso(first.ms)})

    def _frames(self, event: Any) -> list[Frame]:
        match event:
            case Trade():
                frames = [Frame(f"matches:{PRODUCT}", json.dumps({"type": "match", **self._match(event)}), event.ms)]
                if event.id % 10 == 0:
                    beat = {"type": "heartbeat", "last_trade_id": event.id, "product_id": PRODUCT, "sequence": 7 * event.id}
                    frames.append(Frame(f"heartbeat:{PRODUCT}", json.dumps({**beat, "time": iso(event.ms)}), event.ms))
                return frames
            case Update():
                changes = [["buy", price(p), size(q)] for p, q in event.bids.items()]
                changes += [["sell", price(p), size(q)] for p, q in event.asks.items()]
                row: dict[str, Any] = {"type": "l2update", "product_id": PRODUCT, "changes": changes, "time": iso(event.ms)}
                return [Frame(f"level2_batch:{PRODUCT}", json.dumps(row), event.ms)]
            case Quote():
                row = {"type": "ticker", "sequence": event.number, "product_id": PRODUCT, "price": price(event.bid)}
                row |= {"best_bid": price(event.bid), "best_bid_size": size(event.bid_lots), "best_ask": price(event.ask)}
                row |= {
                    "best_ask_size": size(event.ask_lots),
                    "side": "buy",
                    "time": iso(event.ms),
                    "trade_id": 1,
                    "last_size": "1",
                }
                return [Frame(f"ticker:{PRODUCT}", json.dumps(row), event.ms)]
        return []


class Advanced:
    """Coinbase Advanced Trade with one product, made of frames in the true format."""

    venue = "coinbase-advanced"

    def __init__(self) -> None:
        self.symbols = [PRODUCT]
        self.market = Market()
        self.now_ms = START_MS
        self.frames = [frame for event in self.market.events for frame in self._frames(event)]

    def opens(self, path: str) -> bool:
        """The root."""
        return path in ("", "/")

    def control(self, message: str, keys: set[str]) -> list[str]:
        """One channel a message; trades of the past and the whole book come at once. Heartbeats have no product."""
        request = json.loads(message)
        channel = request["channel"]
        wanted = {channel if channel == "heartbeats" else f"{channel}:{PRODUCT}"}
        (keys.update if request["type"] == "subscribe" else keys.difference_update)(wanted)
        listed = {key.partition(":")[0]: [PRODUCT] for key in keys}
        said = [self._wrap("subscriptions", START_MS, {"subscriptions": listed})]
        if request["type"] == "subscribe" and channel == "market_trades":
            past = [self._trade(trade) for trade in self.market.past(self.now_ms)[:-4:-1]]
            said.append(self._wrap("market_trades", START_MS, {"type": "snapshot", "trades": past}))
        if request["type"] == "subscribe" and channel == "level2":
            said.append(self._book(self.market.book(self.now_ms), "snapshot"))
        return said

    def rest(self, path: str, query: dict[str, str]) -> Any:
        """Answer what a recorder asks for."""
        match path.removeprefix("/api/v3/brokerage/"):
            case "time":
                return {"iso": iso(START_MS), "epochSeconds": str(START_MS // 1000), "epochMillis": str(START_MS)}
            case "market/products":
                row = {"product_id": PRODUCT, "base_currency_id": "BTC", "quote_currency_id": "USD", "product_type": "SPOT"}
                row |= {"price_increment": "0.1", "quote_increment": "0.1", "base_increment": "0.001", "status": "online"}
                return {"products": [row], "num_products": 1}
            case "market/products/BTC-USD/candles":
                start = START_MS // 86_400_000 * 86_400 - 86_400
                row = {"start": str(start), "low": "1", "high": "1", "open": "1", "close": "1", "volume": "10"}
                return {"candles": [row]}
            case "market/products/BTC-USD/ticker":
                newest = self.market.past(self.now_ms)[::-1][: int(query.get("limit", 100))]
                return {"trades": [self._trade(trade) for trade in newest], "best_bid": "99.9", "best_ask": "100.0"}
        return None

    def _wrap(self, channel: str, ms: int, event: dict[str, Any]) -> str:
        return json.dumps({"channel": channel, "timestamp": iso(ms), "sequence_num": json.loads(NUMBER), "events": [event]})

    def _trade(self, trade: Trade) -> dict[str, Any]:
        row = {"trade_id": str(trade.id), "product_id": PRODUCT, "price": price(trade.ticks), "size": size(trade.lots)}
        return row | {"side": maker(trade).upper(), "time": iso(trade.ms)}

    def _book(self, update: Update, kind: str) -> str:
        rows = [
            {"side": side, "event_time": iso(update.ms), "price_level": price(p), "new_quantity": size(q)}
            for side, levels in (("bid", update.bids), ("offer", update.asks))
            for p, q in levels.items()
        ]
        return self._wrap("l2_data", update.ms, {"type": kind, "product_id": PRODUCT, "updates": rows})

    def _frames(self, event: Any) -> list[Frame]:
        match event:
            case Trade():
                wrapped = self._wrap("market_trades", event.ms, {"type": "update", "trades": [self._trade(event)]})
                return [Frame(f"market_trades:{PRODUCT}", wrapped, event.ms)]
            case Update():
                return [Frame(f"level2:{PRODUCT}", self._book(event, "update"), event.ms)]
            case Quote():
                row = {"type": "ticker", "product_id": PRODUCT, "price": price(event.bid), "best_bid": price(event.bid)}
                row |= {"best_bid_quantity": size(event.bid_lots), "best_ask": price(event.ask)}
                row |= {"best_ask_quantity": size(event.ask_lots), "volume_24_h": str(TICK)}
                return [
                    Frame(f"ticker:{PRODUCT}", self._wrap("ticker", event.ms, {"type": "update", "tickers": [row]}), event.ms)
                ]
        return []
