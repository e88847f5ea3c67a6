"""Cryptofeed's parse-and-callback over lines from stdin; run by `benchmarks.decoders` with a Python that has cryptofeed.

Arguments: exchange (`binance`, `coinbase`), repetitions, the exchange's own names of what is traded. Prints the processor
time of the best repetition, in seconds, and the callbacks made in each.
"""

from __future__ import annotations

import asyncio
import sys
import time

from cryptofeed.defines import TICKER, TRADES
from cryptofeed.exchanges import BinanceFutures, Coinbase
from cryptofeed.symbols import Symbols


async def main(exchange: str, repetitions: int, natives: list[str]) -> None:
    """Feed the lines to the exchange's own message handler."""
    called = 0

    async def take(_: object, __: float) -> None:
        nonlocal called
        called += 1

    kind, channels = (BinanceFutures, [TRADES, TICKER]) if exchange == "binance" else (Coinbase, [TRADES])
    symbols = {name if "-" in name else f"{name.removesuffix('USDT')}-USDT-PERP": name for name in natives}
    Symbols.set(kind.id, symbols, {"tick_size": dict.fromkeys(symbols, "0.1"), "instrument_type": dict.fromkeys(symbols, "spot")})
    feed = kind(symbols=list(symbols), channels=channels, callbacks=dict.fromkeys(channels, take))
    lines = sys.stdin.read().splitlines()
    best = float("inf")
    for _ in range(repetitions):
        begun = time.process_time()
        for line in lines:
            await feed.message_handler(line, None, 0.0)
        best = min(best, time.process_time() - begun)
    print(best, called // repetitions)


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
