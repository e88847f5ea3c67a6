"""Cryptofeed's parse-and-callback over lines from stdin; run by `benchmarks.decoders` with a Python that has cryptofeed.

Arguments: exchange (`binance`, `coinbase`), repetitions. Prints the seconds of the best repetition and the callbacks made.
"""

from __future__ import annotations

import asyncio
import sys
import time

from cryptofeed.defines import TICKER, TRADES
from cryptofeed.exchanges import BinanceFutures, Coinbase
from cryptofeed.symbols import Symbols


async def main(exchange: str, repetitions: int) -> None:
    """Feed the lines to the exchange's own message handler."""
    called = 0

    async def take(_: object, __: float) -> None:
        nonlocal called
        called += 1

    kind, symbol, native = (
        (BinanceFutures, "BTC-USDT-PERP", "BTCUSDT") if exchange == "binance" else (Coinbase, "BTC-USD", "BTC-USD")
    )
    Symbols.set(kind.id, {symbol: native}, {"tick_size": {symbol: "0.1"}, "instrument_type": {symbol: "perpetual"}})
    channels = [TRADES, TICKER] if exchange == "binance" else [TRADES]
    feed = kind(symbols=[symbol], channels=channels, callbacks=dict.fromkeys(channels, take))
    lines = sys.stdin.read().splitlines()
    best = float("inf")
    for _ in range(repetitions):
        begun = time.perf_counter()
        for line in lines:
            await feed.message_handler(line, None, 0.0)
        best = min(best, time.perf_counter() - begun)
    print(best, called // repetitions)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
