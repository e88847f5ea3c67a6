"""Binance USD-M's texts: stream data, REST answers, symbol rules. The only module that knows how they are spelt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from dataflows.demo.depth import Change, Levels, Shown
from dataflows.demo.tape import INTERVALS_MS, Candle, Frame, Ints, Listing, Trades

ARCHIVE_HEADER = b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"


def decimal(value: int, decimals: int) -> str:
    """Return value x 10**-decimals as text, exactly."""
    digits = f"{abs(value):0{decimals + 1}d}"
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else f"{sign}{digits}"


def _texts(column: Ints, decimals: int) -> list[str]:
    unit = 10**decimals
    if decimals == 0:
        return [str(value) for value in column.tolist()]
    return [f"{value // unit}.{value % unit:0{decimals}d}" for value in column.tolist()]


def agg_trades(listing: Listing, trades: Trades) -> list[Frame]:
    """Return the aggTrade stream's data, a frame a trade."""
    name = listing.native
    rows = zip(
        trades.id.tolist(),
        trades.published.tolist(),
        _texts(trades.price, listing.price_decimals),
        _texts(trades.size, listing.size_decimals),
        trades.first.tolist(),
        trades.last.tolist(),
        trades.time.tolist(),
        trades.sell.tolist(),
        strict=True,
    )
    return [
        Frame(
            a,
            f'{{"e":"aggTrade","E":{sent},"a":{a},"s":"{name}","p":"{p}","q":"{q}","nq":"{q}","f":{first},"l":{last},"T":{t},'
            f'"m":{"true" if m else "false"},"st":1}}',
        )
        for a, sent, p, q, first, last, t, m in rows
    ]


class Quotes(NamedTuple):
    """Best prices and the sizes shown there, in the units of the listing."""

    bid: Ints
    bid_size: Ints
    ask: Ints
    ask_size: Ints


def book_tickers(listing: Listing, trades: Trades, quotes: Quotes) -> list[Frame]:
    """Return the bookTicker stream's data: the best quotes that each of `trades` met, which stood a millisecond before it."""
    name = listing.native
    rows = zip(
        trades.id.tolist(),
        trades.published.tolist(),
        trades.time.tolist(),
        _texts(quotes.bid, listing.price_decimals),
        _texts(quotes.bid_size, listing.size_decimals),
        _texts(quotes.ask, listing.price_decimals),
        _texts(quotes.ask_size, listing.size_decimals),
        strict=True,
    )
    return [
        Frame(
            -1,
            f'{{"e":"bookTicker","u":{2 * u},"s":"{name}","ps":"{name}","b":"{b}","B":"{bs}","a":"{a}","A":"{as_}",'
            f'"T":{t - 1},"E":{sent},"st":1}}',
        )
        for u, sent, t, b, bs, a, as_ in rows
    ]


def _levels(listing: Listing, levels: Levels) -> str:
    p, q = listing.price_decimals, listing.size_decimals
    return ",".join(f'["{decimal(price, p)}","{decimal(size, q)}"]' for price, size in levels.items())


def depth_update(listing: Listing, change: Change) -> Frame:
    """Return the depth stream's data of a step."""
    name, time = listing.native, change.time
    return Frame(
        -1,
        f'{{"e":"depthUpdate","E":{time},"T":{time},"s":"{name}","ps":"{name}","U":{change.first},"u":{change.last},'
        f'"pu":{change.previous},"b":[{_levels(listing, change.bids)}],"a":[{_levels(listing, change.asks)}],"st":1}}',
    )


def rest_depth(listing: Listing, shown: Shown, limit: int) -> dict[str, Any]:
    """Return the answer to `/fapi/v1/depth`."""
    p, q = listing.price_decimals, listing.size_decimals
    bids, asks = ([[decimal(price, p), decimal(size, q)] for price, size in side.items()] for side in (shown.bids, shown.asks))
    return {"lastUpdateId": shown.last, "E": shown.time, "T": shown.time, "bids": bids[:limit], "asks": asks[:limit]}


def force_orders(listing: Listing, trades: Trades) -> list[Frame]:
    """Return the forceOrder stream's data: `trades` as liquidations, each filled whole."""
    rows = zip(
        trades.published.tolist(),
        trades.time.tolist(),
        _texts(trades.price, listing.price_decimals),
        _texts(trades.size, listing.size_decimals),
        trades.sell.tolist(),
        strict=True,
    )
    return [
        Frame(
            -1,
            f'{{"e":"forceOrder","E":{sent},"o":{{"s":"{listing.native}","S":"{"SELL" if sell else "BUY"}","o":"LIMIT",'
            f'"f":"IOC","q":"{q}","p":"{p}","ap":"{p}","X":"FILLED","l":"{q}","z":"{q}","T":{t}}},"st":1}}',
        )
        for sent, t, p, q, sell in rows
    ]


def mark_price(listing: Listing, time_ms: int, mark: float, index: float, rate: float, next_ms: int) -> Frame:
    """Return the markPrice stream's data."""
    return Frame(
        -1,
        f'{{"e":"markPriceUpdate","E":{time_ms},"s":"{listing.native}","p":"{mark:.8f}","ap":"{mark:.8f}","P":"{mark:.8f}",'
        f'"i":"{index:.8f}","r":"{rate:.8f}","T":{next_ms},"st":1}}',
    )


def open_interest(listing: Listing, lots: int, now_ms: int) -> dict[str, Any]:
    """Return the answer to `/fapi/v1/openInterest`."""
    return {"symbol": listing.native, "openInterest": decimal(lots, listing.size_decimals), "time": now_ms}


def _rows(listing: Listing, trades: Trades) -> Iterator[tuple[int, str, str, int, int, int, bool]]:
    """Yield id, price, size, first and last fill, time and whether the seller was the taker, of each trade."""
    return zip(
        trades.id.tolist(),
        _texts(trades.price, listing.price_decimals),
        _texts(trades.size, listing.size_decimals),
        trades.first.tolist(),
        trades.last.tolist(),
        trades.time.tolist(),
        trades.sell.tolist(),
        strict=True,
    )


def archive_lines(listing: Listing, trades: Trades) -> bytes:
    """Return lines of a file of the archive, behind `ARCHIVE_HEADER`."""
    return "".join(
        f"{a},{p},{q},{first},{last},{t},{'true' if m else 'false'}\n" for a, p, q, first, last, t, m in _rows(listing, trades)
    ).encode()


def rest_trades(listing: Listing, trades: Trades) -> list[dict[str, Any]]:
    """Return the rows of an answer to `/fapi/v1/aggTrades`."""
    return [
        {"a": a, "p": p, "q": q, "nq": q, "f": first, "l": last, "T": t, "m": m}
        for a, p, q, first, last, t, m in _rows(listing, trades)
    ]


def rest_candles(listing: Listing, rows: Iterable[Candle], interval: str) -> list[list[str | int]]:
    """Return the rows of an answer to `/fapi/v1/klines`."""
    p, v = listing.price_decimals, listing.size_decimals
    return [
        [
            c.start,
            *(decimal(price, p) for price in (c.open, c.high, c.low, c.close)),
            decimal(c.volume, v),
            c.start + INTERVALS_MS[interval] - 1,
            decimal(c.notional, p + v),
            c.fills,
            decimal(c.buy_volume, v),
            decimal(c.buy_notional, p + v),
            "0",
        ]
        for c in rows
    ]


def exchange_info(listings: Iterable[Listing], now_ms: int) -> dict[str, Any]:
    """Return the answer to `/fapi/v1/exchangeInfo`."""
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
        ],
        "exchangeFilters": [],
        "assets": [],
        "symbols": [_symbol(listing) for listing in listings],
    }


def _symbol(listing: Listing) -> dict[str, Any]:
    tick, lot = decimal(listing.tick, listing.price_decimals), decimal(1, listing.size_decimals)
    return {
        "symbol": listing.native,
        "pair": listing.native,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1704067200000,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": listing.base,
        "quoteAsset": listing.quote,
        "marginAsset": listing.quote,
        "pricePrecision": listing.price_decimals,
        "quantityPrecision": listing.size_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "4529764", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "1000000", "stepSize": lot},
            {"filterType": "MARKET_LOT_SIZE", "minQty": lot, "maxQty": "120000", "stepSize": lot},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK"],
    }
