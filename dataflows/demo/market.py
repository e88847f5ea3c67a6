"""The generated market: lifelike trades that are a pure function of seed and exchange time.

Nothing is carried from one trade to the next. A day fixes, in a table of its minutes, how many trades and how much
volume each holds and what event strikes in it; a minute's trades are drawn from a generator seeded with its number; the
price is fractal noise in time plus the displacement of the last events. So ids are contiguous sums over those tables,
and any id or time can be asked for again, by any process, and gives the same trade.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from dataflows.demo import draws, wire
from dataflows.demo.days import MINUTES, NATURES, OTHER, Day, day_table, plant
from dataflows.demo.depth import Depth
from dataflows.demo.path import Floats, wander
from dataflows.demo.tape import DAY_MS, MINUTE_MS, Candle, Frame, Ints, Listing, Trades, candles, join, listed

GENESIS_MS = 1_704_067_200_000
"""2024-01-01: trade 1 of every instrument comes after it. Days and minutes are counted from it."""
VOLATILITY = 6e-5
"""Standard deviation of a second's log return of BTC, events apart."""
COMMON = 0.7
"""Loading of every instrument on the market as a whole."""
GRID_MS = 200
"""The price moves in steps of this; between them trades see it on a straight line."""
FADE_MS = 100_000.0
"""An event's displacement of the price is gone so long after it; no later than three minutes after its minute began."""
MARK_MS = 3000
"""How often mark price and funding are sent."""
FUNDING_MS = 8 * 3_600_000
FORCED_MOVE = 4e-4
"""A minute shows one liquidation, and one more for each such part of its event's move (of the logarithm of the price)."""
FILLS = 5 / 3
"""Mean fills of an aggregated trade."""
CANDLE_TRADES = 2_000_000
"""How many trades one answer of one-minute candles may cost to draw; a second or so."""


class Minute(NamedTuple):
    """An instrument's minute: its trades, and for each the best bid and ask that its taker order met.

    `leads` marks the first trade of each taker order.
    """

    trades: Trades
    bid: Ints
    ask: Ints
    leads: draws.Mask


class Market:
    """The generated market.

    Parameters
    ----------
    seed : int
    symbols : iterable of str
        Like `BTC-USDT`; what they are like is in `days.NATURES`.
    rate : float
        Mean trades per second over all symbols. Volume does not depend on it, up to where lots get too small.

    Raises
    ------
    ValueError
        If the base and quote asset of a symbol cannot be told.
    """

    def __init__(self, seed: int, symbols: Iterable[str], rate: float) -> None:
        self.listings: dict[str, Listing] = {}
        for symbol in symbols:
            base, quote = listed(symbol)
            like = NATURES.get(base, OTHER)
            self.listings[base + quote] = Listing(base + quote, base, quote, like.price_decimals, like.size_decimals, like.tick)
        self._seed = seed & (2**64 - 1)
        self._key = {name: zlib.crc32(name.encode()) for name in (*self.listings, "market")}
        self._nature = {name: NATURES.get(item.base, OTHER) for name, item in self.listings.items()}
        weights = sum(nature.weight for nature in self._nature.values())
        self._per_day = {
            name: max(1, round(rate * nature.weight / weights * DAY_MS / 1000)) for name, nature in self._nature.items()
        }
        self._paths = {name: int(self._rng(name, 3).integers(2**63)) for name in self._key}
        self.depth = {name: self._depth(listing) for name, listing in self.listings.items()}
        self.day = functools.lru_cache(4 * len(self.listings))(self._day)
        self.minute = functools.lru_cache(3 * len(self.listings))(self._minute)
        self._cascades: dict[tuple[str, int], dict[int, float]] = {}
        self._minute_candle = functools.lru_cache(2000 * len(self.listings))(self._closed)

    def _depth(self, listing: Listing) -> Depth:
        name = listing.native
        mean = 5 * self._nature[name].flow * 10**listing.size_decimals
        return Depth(listing, self._key[name] ^ (self._seed & 0xFFFF), GENESIS_MS, functools.partial(self.mid, name), mean)

    def _rng(self, name: str, *what: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, self._key[name], *what))

    def _day(self, native: str, day: int) -> Day:
        # The day before the genesis has events too: theirs move the price after it.
        table = day_table(self._rng(native, 0, day + 1), self._nature[native], day, self._per_day[native])
        for minute, move in self._cascades.get((native, day), {}).items():
            plant(table, minute, move)
        return table

    def cascade(self, native: str, move: float, now_ms: int) -> int:
        """Plant a cascade of forced sales into the first minute that nothing has been drawn of; return when it begins (ms).

        `move` is how far the logarithm of the price falls. It lasts as long as this object: a market made anew has none.
        """
        minute = (now_ms + MINUTE_MS // 2 - GENESIS_MS) // MINUTE_MS + 1
        day, inside = divmod(minute, MINUTES)
        plant(self.day(native, day), inside, move)
        self._cascades.setdefault((native, day), {})[inside] = move
        return GENESIS_MS + minute * MINUTE_MS

    def mid(self, native: str, time_ms: Floats) -> Floats:
        """Return the price between bid and ask at ascending times, in quote currency."""
        seconds = (time_ms - GENESIS_MS) / 1000
        own, common = wander(self._paths[native], seconds), wander(self._paths["market"], seconds)
        log = VOLATILITY * self._nature[native].beta * (COMMON * common + np.sqrt(1 - COMMON**2) * own)
        minute = ((time_ms - GENESIS_MS) // MINUTE_MS).astype(np.int64)
        oldest = int(minute[0]) - 2
        strike, length, move = self._events(native, oldest, int(minute[-1]))
        for back in range(3):
            event = minute - back - oldest
            x = time_ms - strike[event]
            log += move[event] * np.clip(x / length[event], 0, 1) * np.clip(1 - (x - length[event]) / FADE_MS, 0, 1)
        price: Floats = self._nature[native].price * np.exp(log)
        return price

    def _events(self, native: str, first: int, last: int) -> tuple[Floats, Floats, Floats]:
        """Return when (ms since 1970), how long and how far the events of minutes first to last move the price."""
        days = range(first // MINUTES, last // MINUTES + 1)
        part = slice(first - days[0] * MINUTES, last + 1 - days[0] * MINUTES)
        tables = [self.day(native, day) for day in days]
        strike = np.concatenate([table.strike for table in tables])[part]
        length = np.concatenate([table.length for table in tables])[part]
        move = np.concatenate([table.move for table in tables])[part]
        return strike + GENESIS_MS + MINUTE_MS * np.arange(first, last + 1), length, move

    def _minute(self, native: str, minute: int) -> Minute:
        day, i = self.day(native, minute // MINUTES), minute % MINUTES
        first, n = int(day.first[i]), day.count(i)
        rng = self._rng(native, 1, minute)
        offset, sell, surge = draws.arrivals(rng, day, i)
        lead, big = draws.sweeps(rng, offset, day, i)
        sell[big] = day.sell[i]
        offset, sell = offset[lead], sell[lead]
        level = np.arange(n) - lead

        start = GENESIS_MS + minute * MINUTE_MS
        grid = np.arange(0.0, MINUTE_MS + 1, GRID_MS)
        ticks = 10.0 ** self.listings[native].price_decimals / self.listings[native].tick
        bid = np.floor(np.interp(offset, grid, self.mid(native, start + grid)) * ticks).astype(np.int64)
        spread = 1 + (rng.random(n) < 0.15) + surge * rng.integers(0, 4, n)
        ask = bid + spread[lead]
        rung = max(1, round(3e-5 * self._nature[native].price * ticks))
        price = np.where(sell, bid - level * rung, ask + level * rung)

        time = start + offset.astype(np.int64)
        published = np.maximum.accumulate(np.minimum(time + rng.integers(2, 20, n), start + MINUTE_MS - 1))
        number = first + np.arange(n, dtype=np.int64)
        fill = 8 * number
        last_fill = fill + np.minimum(rng.geometric(1 / FILLS, n), 8) - 1
        size = draws.sizes(rng, surge, big, float(day.sweep[i]), int(day.lots[i]))
        tick = self.listings[native].tick
        trades = Trades(number, time, published, price * tick, size, sell, fill, last_fill)
        return Minute(trades, bid * tick, ask * tick, level == 0)

    def _minute_of(self, native: str, number: int) -> int:
        day = (number - 1) // self._per_day[native]
        return day * MINUTES + int(np.searchsorted(self.day(native, day).first, number, "right")) - 1

    def _first_at(self, native: str, column: str, time_ms: int) -> int:
        """Return the id of the first trade whose `column` (a time) is at or after `time_ms`."""
        if time_ms < GENESIS_MS:
            return 1
        minute = (time_ms - GENESIS_MS) // MINUTE_MS
        first = self.day(native, minute // MINUTES).first[minute % MINUTES]
        return int(first + np.searchsorted(getattr(self.minute(native, minute).trades, column), time_ms))

    def id_at(self, native: str, time_ms: int) -> int:
        """Return the id of the first trade matched at or after `time_ms`."""
        return self._first_at(native, "time", time_ms)

    def unpublished(self, native: str, now_ms: int) -> int:
        """Return the id of the first trade that is sent after `now_ms`."""
        return self._first_at(native, "published", now_ms + 1)

    def _parts(self, native: str, first: int, stop: int) -> Iterable[tuple[Minute, slice]]:
        """Yield the minutes that hold the ids first to stop (exclusive), and where in them."""
        first = max(1, first)
        while first < stop:
            minute = self.minute(native, self._minute_of(native, first))
            base = int(minute.trades.id[0])
            end = min(stop, base + len(minute.trades.id))
            yield minute, slice(first - base, end - base)
            first = end

    def trades(self, native: str, first: int, stop: int) -> Trades:
        """Return the trades with ids first (inclusive) to stop (exclusive)."""
        return join([minute.trades.cut(part) for minute, part in self._parts(native, first, stop)])

    def frames(self, stream: str, after_ms: int, upto_ms: int) -> list[Frame]:
        """Return what `stream` sends after `after_ms`, up to and including `upto_ms`; nothing if there is no such stream."""
        name, _, channel = stream.partition("@")
        listing = self.listings.get(name.upper())
        if listing is None or not name.islower():
            return []
        if channel == "depth@100ms":
            return [wire.depth_update(listing, change) for change in self.depth[listing.native].changes(after_ms, upto_ms)]
        if channel == "markPrice":
            return self._marks(listing, after_ms, upto_ms)
        if channel not in ("aggTrade", "bookTicker", "forceOrder"):
            return []
        first, stop = (self.unpublished(listing.native, ms) for ms in (after_ms, upto_ms))
        parts = self._parts(listing.native, first, stop)
        if channel == "aggTrade":
            return [frame for minute, part in parts for frame in wire.agg_trades(listing, minute.trades.cut(part))]
        if channel == "forceOrder":
            return [frame for minute, part in parts for frame in self._forced(listing, minute, part)]
        return [frame for minute, part in parts for frame in self._quotes(listing, minute, part)]

    def _forced(self, listing: Listing, minute: Minute, part: slice) -> list[Frame]:
        """Show the largest trades on the side of a minute's event as liquidations: more the further it moves the price."""
        number = (int(minute.trades.time[0]) - GENESIS_MS) // MINUTE_MS
        day, i = self.day(listing.native, number // MINUTES), number % MINUTES
        largest = np.where(minute.trades.sell == day.sell[i], minute.trades.size, 0).argsort(kind="stable")
        forced = np.sort(largest[-1 - int(abs(day.move[i]) / FORCED_MOVE) :])
        return wire.force_orders(listing, minute.trades.cut(forced[(forced >= part.start) & (forced < part.stop)]))

    def _marks(self, listing: Listing, after_ms: int, upto_ms: int) -> list[Frame]:
        """Show mark price and funding; the rate leans with the hour of the day."""
        times = np.arange(max(after_ms, GENESIS_MS) // MARK_MS + 1, upto_ms // MARK_MS + 1) * MARK_MS
        if not times.size:
            return []
        prices = self.mid(listing.native, times.astype(np.float64))
        rates = 1e-4 + 2e-4 * np.sin(2 * np.pi * times / DAY_MS)
        return [
            wire.mark_price(listing, time, price, price * (1 - 2 * rate), rate, (time // FUNDING_MS + 1) * FUNDING_MS)
            for time, price, rate in zip(times.tolist(), prices.tolist(), rates.tolist(), strict=True)
        ]

    def open_interest(self, native: str, now_ms: int) -> int:
        """Return how much is held, in the units of the listing: a day's volume, swinging with the day."""
        lots = self._nature[native].flow * DAY_MS / 1000 * 10 ** self.listings[native].size_decimals
        return int(lots * (1 + 0.1 * np.sin(2 * np.pi * now_ms / DAY_MS)))

    def _quotes(self, listing: Listing, minute: Minute, part: slice) -> list[Frame]:
        """Show the book as each taker order met it."""
        rng = self._rng(listing.native, 2, (int(minute.trades.time[0]) - GENESIS_MS) // MINUTE_MS)
        mean = self._nature[listing.native].flow * 10**listing.size_decimals
        depth = np.ceil(mean * rng.lognormal(0, 1, (2, len(minute.bid)))).astype(np.int64)
        show = part.start + np.flatnonzero(minute.leads[part])
        quotes = wire.Quotes(minute.bid[show], depth[0][show], minute.ask[show], depth[1][show])
        return wire.book_tickers(listing, minute.trades.cut(show), quotes)

    def candles(self, native: str, interval: str, start_ms: int, end_ms: int, now_ms: int) -> list[Candle]:
        """Return the candles that open from `start_ms` to `end_ms` (inclusive), of what is published at `now_ms`.

        One-minute candles are those of the trades. Of daily ones, which would take a million trades each, the volume is;
        prices and notional follow the path minute by minute, fills and the takers' share are means.
        At high rates the minutes reach back less far: as many as hold `CANDLE_TRADES`.
        """
        width = DAY_MS if interval == "1d" else MINUTE_MS
        first = max(0, -((GENESIS_MS - start_ms) // width))
        now = (now_ms - GENESIS_MS) // width
        last = min(now, (end_ms - GENESIS_MS) // width)
        if interval == "1d":
            return [self._daily(native, day, now_ms) for day in range(first, last + 1)]
        first = max(first, last - CANDLE_TRADES * MINUTES // self._per_day[native])
        rows = [row for minute in range(first, min(last + 1, now)) for row in self._minute_candle(native, minute)]
        if first <= now <= last:
            live = self.minute(native, now).trades
            rows += candles(live.cut(slice(int(np.searchsorted(live.published, now_ms, "right")))), MINUTE_MS)
        return rows

    def _closed(self, native: str, minute: int) -> list[Candle]:
        return candles(self._minute(native, minute).trades, MINUTE_MS)

    def _daily(self, native: str, day: int, now_ms: int) -> Candle:
        table = self.day(native, day)
        stop = min(self.unpublished(native, now_ms), int(table.first[-1]))
        full = min(int(np.searchsorted(table.first, stop, "right")) - 1, MINUTES)
        lots = np.append(table.lots[:full], self.trades(native, int(table.first[full]), stop).size.sum())
        start = GENESIS_MS + day * DAY_MS
        middle = self.mid(native, start + MINUTE_MS * np.arange(0.5, full + 1)) * 10.0 ** self.listings[native].price_decimals
        open_, high, low, close = (round(price) for price in (middle[0], middle.max(), middle.min(), middle[-1]))
        volume, notional = int(lots.sum()), round((lots * middle).sum())
        fills = round((stop - int(table.first[0])) * FILLS)
        return Candle(start, open_, high, low, close, volume, notional, fills, volume // 2, notional // 2)

    def prepare(self, time_ms: int) -> None:
        """Draw ahead the minute around `time_ms` of every instrument."""
        for native in self.listings:
            self.minute(native, max(0, time_ms - GENESIS_MS) // MINUTE_MS)
