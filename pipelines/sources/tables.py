"""Trades already taken apart: CSV (venues' archives, tardis, receive-timed dumps) and a JSON array of ccxt trades."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from pipelines.sources.files import blocks, unpacked
from pipelines.sources.pieces import Piece, Position, Scan, SourceError, SourceKind
from pipelines.tape import Decoded
from pipelines.venues import binance_frames, csv_trades
from pipelines.venues.columns import UNREADABLE, Tape
from pipelines.venues.csv_trades import Layout
from pipelines.venues.venue import Venue

BLOCK: Final = 65_536

TARDIS: Final = Layout(
    "fill",
    ("", "symbol", "time", "received", "id", "side", "price", "size"),
    b"exchange,symbol,timestamp,local_timestamp,id,side,price,amount",
)
DUMP: Final = Layout(
    "fill",
    ("received", "", "", "", "time", "symbol", "id", "price", "size", "seller", ""),
    b"TimestampOfReceive,Stream,EventType,EventTime,TransactionTime,Symbol,TradeId,Price,Quantity,"
    b"IsBuyerMarketMaker,MUnknownParameter",
)
EXCHANGES: Final = {
    b"binance": "binance-spot",
    b"binance-futures": "binance-usdm",
    b"binance-delivery": "binance-coinm",
    b"ftx": "ftx",
}
"""Our names of tardis' exchanges."""

_DAY: Final = r"\d{4}-\d{2}-\d{2}"
_BYBIT: Final = rf"(?:_{_DAY}|-\d{{4}}-\d{{2}})\.csv(?:\.gz)?"
_ARCHIVE_NAME = re.compile(rf"([A-Z0-9_-]+)-(?:aggTrades|trades)\b|([A-Z0-9]+){_BYBIT}")
_WHOLE_NAME = re.compile(
    rf"[A-Z0-9_]+-(?:aggTrades|trades)-\d{{4}}-\d{{2}}(?:-\d{{2}})?\.(?:csv|zip)"
    rf"|[A-Z0-9]+{_BYBIT}|[A-Z0-9-]+{_DAY}\.csv(?:\.gz)?"
)
"""Binance's; Bybit's `spot/BTCUSDT_2026-11-19.csv.gz`, of months before, and `trading/BTCUSDT2026-11-19.csv.gz`.
OKX's, like `BTC-USDT-SWAP-trades-2026-11-19.zip`, are not among them: they hold a day of Hong Kong."""


def archive_symbol(path: Path) -> str | None:
    """Return the venue's own name of the symbol in an archive's file name, like `BTCUSDT-aggTrades-2026-11-19.zip`."""
    match = _ARCHIVE_NAME.match(path.name)
    return match[1] or match[2] if match else None


def is_whole(path: Path) -> bool:
    """Return whether an archive's file name says that it holds whole days: that of a day or a month."""
    return _WHOLE_NAME.fullmatch(path.name) is not None


def newest_first(path: Path, layout: Layout) -> bool:
    """Return whether an archive's trades stand in order from the last to the first, as far as its first lines tell."""
    lines = next(blocks(path, 0, BLOCK), [])
    ts = csv_trades.decode(b"".join(lines), layout, "").rows["ts"]
    ts = ts[ts > 0]
    return bool(ts.size and ts[0] > ts[-1] and (ts[1:] <= ts[:-1]).all())


@dataclass(frozen=True)
class Csv:
    """A file of CSV. `symbol`, the venue's own name, is for layouts without a column for it.

    A `backward` file has the newest trade first: it is held in memory whole, and its lines, but for the header, are read
    and numbered from the last to the first.
    """

    path: Path
    venue: Venue
    layout: Layout
    symbol: str
    backward: bool = False
    kind: ClassVar[SourceKind] = "rows"

    def _blocks(self, start: int, size: int) -> Iterator[list[bytes]]:
        if not self.backward:
            yield from blocks(self.path, start, size)
            return
        lines = [line.rstrip(b"\r\n") + b"\n" for block in blocks(self.path, 0, BLOCK) for line in block]
        head = int(bool(self.layout.header) and lines[0].startswith(self.layout.header))
        lines[head:] = lines[head:][::-1]
        for begin in range(start, len(lines), size):
            yield lines[begin : begin + size]

    def scan(self) -> Scan:
        """See `SourceFile.scan`."""
        first_ns = 0
        symbols: dict[str, None] = {}
        for number, lines in enumerate(self._blocks(0, BLOCK)):
            if number == 0 and self.layout is TARDIS:
                self._check_exchange(lines)
            if symbols and "symbol" not in self.layout.columns:
                continue  # read on to the end all the same: only then is the file known to be whole
            decoded = self._decode(lines, number * BLOCK)
            symbols.update(dict.fromkeys(decoded.symbols))
            if not first_ns and decoded.rows.size:
                first_ns = int(decoded.rows["recv_ns"][0] or decoded.rows["ts"][0] * 1000)
        return Scan(first_ns, {self.layout.tape: list(symbols)} if symbols else {}, [])

    def _check_exchange(self, lines: Sequence[bytes]) -> None:
        found = {line.partition(b",")[0] for line in lines} & EXCHANGES.keys()
        names = sorted(EXCHANGES[name] for name in found)
        if names != [self.venue.name]:
            raise SourceError(
                self.path, f"holds trades of {' and '.join(names) or 'no known venue'}, not of {self.venue.name}; change --venue"
            )

    def _decode(self, lines: Sequence[bytes], start: int) -> Decoded:
        return csv_trades.decode(b"".join(lines), self.layout, self.symbol, start + 1)

    def pieces(self, number: int, start: int, size: int, tape: Tape, only: str | None) -> Iterator[Piece]:
        """See `SourceFile.pieces`; `frame` of a row is the number of its line, from 1."""
        del tape  # checked by the caller
        for lines in self._blocks(start, size):
            decoded = restrict(self._decode(lines, start), only)
            refused = tuple(lines[fault.frame - start - 1].rstrip(b"\r\n") for fault in decoded.faults)
            start += len(lines)
            yield Piece(None, decoded, Position(number, start), refused)


class _Trade(msgspec.Struct, gc=False):
    symbol: str
    info: msgspec.Raw


_array = msgspec.json.Decoder(list[msgspec.Raw])
_trade = msgspec.json.Decoder(_Trade)


@dataclass(frozen=True)
class Ccxt:
    """A JSON array of ccxt trades of one symbol, the venue's aggregate under `info`; all of it is held in memory."""

    path: Path
    venue: Venue
    kind: ClassVar[SourceKind] = "rows"

    def _elements(self) -> list[msgspec.Raw]:
        with unpacked(self.path) as stream:
            text = stream.read()
        try:
            return _array.decode(text)
        except UNREADABLE as error:
            raise SourceError(self.path, f"is a JSON array that cannot be read ({error}); fetch or copy it again") from None

    def _symbol(self, elements: Sequence[msgspec.Raw]) -> str:
        """Return the venue's own name of what ccxt calls `BTC/USDT` or `BTC/USDT:USDT`."""
        try:
            pair = _trade.decode(elements[0]).symbol if elements else ""
        except UNREADABLE:
            raise SourceError(self.path, "is a JSON array, but not of ccxt trades with the venue's own under `info`") from None
        return pair.partition(":")[0].replace("/", "")

    def scan(self) -> Scan:
        """See `SourceFile.scan`."""
        elements = self._elements()
        symbol = self._symbol(elements)
        rows = self._decode(elements, 0, symbol).rows
        if not rows.size:
            return Scan(0, {}, [])
        return Scan(int(rows["ts"][0]) * 1000, {"agg": [symbol]}, [])

    def _decode(self, elements: Sequence[msgspec.Raw], start: int, symbol: str) -> Decoded:
        decoded = binance_frames.decode_rows([_info(element) for element in elements], symbol)
        decoded.rows["frame"] += start + 1
        return decoded._replace(faults=[f._replace(frame=f.frame + start + 1) for f in decoded.faults])

    def pieces(self, number: int, start: int, size: int, tape: Tape, only: str | None) -> Iterator[Piece]:
        """See `SourceFile.pieces`; `frame` of a row is its place in the array, from 1."""
        del tape, only  # checked by the caller: there is one of each
        elements = self._elements()
        symbol = self._symbol(elements)
        for begin in range(start, len(elements), size):
            chosen = elements[begin : begin + size]
            decoded = self._decode(chosen, begin, symbol)
            refused = tuple(bytes(chosen[fault.frame - begin - 1]) for fault in decoded.faults)
            yield Piece(None, decoded, Position(number, begin + len(chosen)), refused)


def _info(element: msgspec.Raw) -> msgspec.Raw:
    """Return the venue's own trade in a ccxt trade; the element itself, to be refused, where there is none."""
    try:
        return _trade.decode(element).info
    except UNREADABLE:
        return element


def restrict(decoded: Decoded, only: str | None) -> Decoded:
    """Return the trades and faults of the symbol `only`, and the faults of no symbol."""
    if only is None or decoded.symbols == [only]:
        return decoded
    mine = decoded.symbols.index(only) if only in decoded.symbols else -1
    rows = decoded.rows[decoded.rows["instrument"] == mine]
    rows["instrument"] = 0
    return Decoded(rows, [only], [f for f in decoded.faults if f.symbol in ("", only)], decoded.ignored)
