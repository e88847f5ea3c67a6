"""Nautilus Trader's own aggregator of 1-minute bars over trades from a file; run by `benchmarks.signals`.

It runs with a Python that has nautilus_trader. Arguments: a .npy file with `ts` (us), `price` (1 decimal), `size` (3 decimals),
`side`, and repetitions. Prints the seconds of processor time of the best repetition, the bars made and the sum of their
volumes. Making the ticks is not measured; the clock's timer fires as in a backtest, once a minute.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from nautilus_trader.common.component import TestClock
from nautilus_trader.data.aggregation import TimeBarAggregator
from nautilus_trader.model.data import Bar, BarType, TradeTick
from nautilus_trader.model.enums import AggressorSide
from nautilus_trader.model.identifiers import TradeId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider


def main(path: str, repetitions: int) -> None:
    """Measure."""
    rows = np.load(path)
    instrument = TestInstrumentProvider.btcusdt_perp_binance()
    kind = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-INTERNAL")
    taker = {1: AggressorSide.BUYER, -1: AggressorSide.SELLER}
    columns = (rows[name].tolist() for name in ("ts", "price", "size", "side"))
    ticks = [
        TradeTick(instrument.id, Price(price, 1), Quantity(size, 3), taker[side], TradeId(str(k)), ts * 1000, ts * 1000)
        for k, (ts, price, size, side) in enumerate(zip(*columns, strict=True))
    ]
    best = float("inf")
    bars: list[Bar] = []
    for _ in range(repetitions):
        bars = []
        best = min(best, _once(instrument, kind, ticks, bars))
    print(best, len(bars), sum(float(bar.volume) for bar in bars))


def _once(instrument: object, kind: BarType, ticks: list[TradeTick], bars: list[Bar]) -> float:
    clock = TestClock()
    clock.set_time(ticks[0].ts_init)
    aggregator = TimeBarAggregator(instrument, kind, bars.append, clock, interval_type="right-open", build_with_no_updates=False)
    take, minute = aggregator.handle_trade_tick, 60_000_000_000
    ends = ticks[0].ts_init // minute * minute + minute
    begun = time.process_time()
    for tick in ticks:
        if tick.ts_init >= ends:
            for event in clock.advance_time(tick.ts_init):
                event.handle()
            ends = tick.ts_init // minute * minute + minute
        take(tick)
    for event in clock.advance_time(ends):
        event.handle()
    return time.process_time() - begun


main(sys.argv[1], int(sys.argv[2]))
