"""Made-up days of trades, written as each venue's archive writes them."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import zipfile
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

import numpy as np

from pipelines.market import DAY_US

DATE: Final = dt.date(2026, 11, 20)
SPOT_HEADER: Final = b""
USDM_HEADER: Final = b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
FILL_HEADER: Final = b"id,price,qty,quote_qty,time,is_buyer_maker\n"
BYBIT_HEADER: Final = b"timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional,RPI\n"
BYBIT_SPOT_HEADER: Final = b"id,timestamp,price,volume,side,rpi\n"
OKX_HEADER: Final = b"instrument_name,trade_id,side,price,size,created_time\n"
TARDIS_HEADER: Final = b"exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
KLINE_HEADER: Final = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"
)


class Made(NamedTuple):
    """A made-up trade; `us` is a whole number of ms."""

    id: int
    us: int
    price: str
    size: str
    sell: bool
    first: int
    last: int

    @property
    def ms(self) -> int:
        return self.us // 1000

    @property
    def uuid(self) -> UUID:
        return UUID(int=(self.id << 65) | 12345)


def start(date: dt.date) -> int:
    """Return the start of a UTC date in us."""
    return (date - dt.date(1970, 1, 1)).days * DAY_US


def day(date: dt.date = DATE, n: int = 500, seed: int = 0) -> list[Made]:
    """Return the trades of a UTC date: its first at midnight, its last in the last ms; ids go on from the day before."""
    rng = np.random.default_rng([seed, date.toordinal()])
    offsets = np.sort(rng.integers(0, 86_400_000, n))
    offsets[0], offsets[-1] = 0, 86_399_999
    first_id = (date.toordinal() - 700_000) * 1_000_000 // 1_000_000 * n + 1
    prices = 91_000 + np.cumsum(rng.normal(0, 5, n))
    sizes = rng.integers(1, 5_000, n)
    return [
        Made(
            first_id + k,
            start(date) + int(offset) * 1000,
            f"{price:.1f}",
            f"{size / 1000:.3f}",
            bool(sell),
            2 * (first_id + k),
            2 * (first_id + k) + 1,
        )
        for k, (offset, price, size, sell) in enumerate(zip(offsets, prices, sizes, rng.random(n) < 0.5, strict=True))
    ]


def agg(trades: Sequence[Made], *, header: bytes = USDM_HEADER, unit: int = 1000, best: bool = False) -> bytes:
    """Return Binance's aggregates; times in units of so many us."""
    return header + b"".join(
        f"{t.id},{t.price},{t.size},{t.first},{t.last},{t.us // unit},{str(t.sell).lower()}{',True' if best else ''}\n".encode()
        for t in trades
    )


def fills(trades: Sequence[Made], *, header: bytes = FILL_HEADER) -> bytes:
    """Return Binance's single fills."""
    lines = (f"{t.id},{t.price},{t.size},1.0,{t.ms},{str(t.sell).lower()}\n".encode() for t in trades)
    return header + b"".join(lines)


def bybit(trades: Sequence[Made], symbol: str = "BTCUSDT", *, backward: bool = False, rpi: bool = True) -> bytes:
    """Return Bybit's trades of contracts; `backward`: the newest first."""
    lines = [
        f"{t.us // 10**6}.{t.us % 10**6 // 100:04d},{symbol},{'Sell' if t.sell else 'Buy'},{t.size},{t.price},PlusTick,"
        f"{t.uuid},2.2e+12,0.25,22810.1{',0' if rpi else ''}\n".encode()
        for t in trades
    ]
    header = BYBIT_HEADER if rpi else BYBIT_HEADER.replace(b",RPI", b"")
    return header + b"".join(lines[::-1] if backward else lines)


def bybit_spot(trades: Sequence[Made]) -> bytes:
    """Return Bybit's trades of spot, numbered from 1."""
    lines = (f"{k},{t.ms},{t.price},{t.size},{'sell' if t.sell else 'buy'},0\n".encode() for k, t in enumerate(trades, 1))
    return BYBIT_SPOT_HEADER + b"".join(lines)


def okx(trades: Sequence[Made], symbol: str = "BTC-USDT") -> bytes:
    """Return OKX's trades."""
    lines = (f"{symbol},{t.id},{'sell' if t.sell else 'buy'},{t.price},{t.size},{t.ms}\n".encode() for t in trades)
    return OKX_HEADER + b"".join(lines)


def tardis(trades: Sequence[Made], exchange: str = "binance-futures", symbol: str = "BTCUSDT", *, header: bool = True) -> bytes:
    """Return trades as tardis sells them."""
    lines = (
        f"{exchange},{symbol},{t.us},{t.us + 7000},{t.id},{'sell' if t.sell else 'buy'},{t.price},{t.size}\n".encode()
        for t in trades
    )
    return (TARDIS_HEADER if header else b"") + b"".join(lines)


def zipped(name: str, content: bytes) -> bytes:
    """Return a zip of one file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def gzipped(content: bytes) -> bytes:
    """Return the same bytes for the same content."""
    return gzip.compress(content, mtime=0)


def ftx(trades: Sequence[Made]) -> bytes:
    """Return what FTX's REST answered, as CSV."""
    moments = (dt.datetime.fromtimestamp(t.us / 1e6, dt.UTC).isoformat() for t in trades)
    lines = (
        f"{t.id},{t.price},{t.size},{'sell' if t.sell else 'buy'},False,{moment}\n"
        for t, moment in zip(trades, moments, strict=True)
    )
    return b"id,price,size,side,liquidation,time\n" + "".join(lines).encode()


def total(trades: Sequence[Made], *, quoted: bool = False) -> Decimal:
    """Return the volume of trades, or what was paid."""
    return sum((Decimal(t.size) * (Decimal(t.price) if quoted else 1) for t in trades), Decimal(0))


def klines(trades: Sequence[Made], *, header: bytes = KLINE_HEADER) -> bytes:
    """Return Binance's 1-minute candles of a date, quiet minutes among them."""
    begin, minutes = start(dt.datetime.fromtimestamp(trades[0].us / 1e6, dt.UTC).date()), dict[int, list[Made]]()
    for trade in trades:
        minutes.setdefault((trade.us - begin) // 60_000_000, []).append(trade)
    lines, last = [], trades[0].price
    for k in range(1440):
        some, at = minutes.get(k, []), begin // 1000 + k * 60_000
        prices = sorted((t.price for t in some), key=Decimal)
        values = (some[0].price, prices[-1], prices[0], some[-1].price) if some else (last,) * 4
        bought = [t for t in some if not t.sell]
        sums = [total(some), total(some, quoted=True), total(bought), total(bought, quoted=True)]
        fills_of = sum(t.last - t.first + 1 for t in some)
        lines.append(f"{at},{','.join(values)},{sums[0]},{at + 59_999},{sums[1]},{fills_of},{sums[2]},{sums[3]},0\n")
        last = values[3]
    return header + "".join(lines).encode()
