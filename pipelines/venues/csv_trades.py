"""Trades as lines of CSV: one reader for every layout of columns.

All lines are read at once by Arrow. Where that fails, or a line cannot be right, each is looked at on its own, the bad
ones become faults, and the rest is read again: a good file is read fast, a bad line costs one chunk.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from pipelines.tape import Decoded
from pipelines.venues import trade_ids
from pipelines.venues.columns import Ints, Refused, Tape, Trades, build, nanoseconds
from pipelines.venues.times import all_rfc3339_us

_INT: Final = rb"-?(?:[0-9]{1,18}|[1-8][0-9]{18})"
_TEXT: Final = rb"[ -~]*"
_BOOL: Final = rb"[Tt]rue|TRUE|[Ff]alse|FALSE|[01]"
_CELLS: Final = {
    "id": rb"(?:[0-9]{1,18}|[1-8][0-9]{18})",
    "uuid": trade_ids.UUID.encode(),
    "number": rb"[0-9]{1,9}",
    "price": _TEXT,
    "size": _TEXT,
    "first": _INT,
    "last": _INT,
    "time": _INT,
    "seconds": rb"[0-9]{1,10}(?:\.[0-9]{1,9})?",
    "iso": rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|\+00:00)",
    "received": _INT,
    "seller": _BOOL,
    "best": _BOOL,
    "side": rb"[Bb]uy|[Ss]ell",
    "symbol": rb"[!-~]{1,40}",
    "": rb"[^\r\n]*",
}
"""What a cell must be, by column."""
_SCIENTIFIC = re.compile(r"[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]{1,2}")
_ARROW: Final = dict.fromkeys(("uuid", "price", "size", "seconds", "iso", "side", "symbol"), pa.string()) | dict.fromkeys(
    ("seller", "best"), pa.bool_()
)


class Layout(NamedTuple):
    """How a line is laid out.

    Attributes
    ----------
    tape : {'agg', 'fill'}
    columns : tuple of str
        Of `id` (or `uuid`, or `number`: of the line, from 1 each day), `price`, `size`, `first` and `last` (fills of an
        aggregate), `time` (or `seconds`, with a fraction, or `iso`), `received`, `seller` (the seller was the taker), `side` (of
        the taker: buy or sell), `symbol`, `best` (a flag); what the empty hold may be anything.
    header : bytes
        What the first line may be.
    scientific : bool
        Prices and sizes may be written like `1e-05`.
    """

    tape: Tape
    columns: tuple[str, ...]
    header: bytes = b""
    scientific: bool = False

    def fits(self, line: bytes) -> bool:
        """Whether `line` is the header, or a line of this layout."""
        return bool(self.header and line.startswith(self.header)) or self.fault(line) is None

    def fault(self, line: bytes) -> str | None:
        """Return what is wrong with a line, None if nothing is."""
        cells = line.split(b",")
        if len(cells) != len(self.columns):
            return f"line had {len(cells)} columns instead of {len(self.columns)}"
        for name, cell in zip(self.columns, cells, strict=True):
            if not re.fullmatch(_CELLS[name], cell):
                return f"{name} was malformed: {cell[:40].decode('utf-8', 'replace')!r}"
        return None


def decode(data: bytes, layout: Layout, symbol: str, first_line: int = 1) -> Decoded:
    """Read complete lines of CSV; `frame` is the number of the line.

    Parameters
    ----------
    data : bytes
    layout : Layout
    symbol : str
        The venue's own name; used where the layout has no column for it.
    first_line : int
        Number of the first line of `data`.
    """
    ignored = 0
    if layout.header and data.startswith(layout.header):
        data = data[data.find(b"\n") + 1 or len(data) :]
        first_line += 1
        ignored = 1
    if not data:
        return build(_no_trades(), [], ignored)
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    table = None if data.startswith(b"#") or b"\n#" in data else _read(data, layout)
    if table is not None and table.num_rows == lines:
        return build(_trades(table, np.arange(first_line, first_line + lines), symbol, layout), [], ignored)
    return _decode_singly(data, layout, symbol, first_line, ignored)


def _decode_singly(data: bytes, layout: Layout, symbol: str, first_line: int, ignored: int) -> Decoded:
    good: list[bytes] = []
    numbers: list[int] = []
    refused: list[Refused] = []
    for number, ended in enumerate(data.removesuffix(b"\n").split(b"\n"), first_line):
        line = ended.removesuffix(b"\r")
        if not line or line.startswith(b"#") or line == layout.header:
            ignored += 1
        elif reason := layout.fault(line):
            refused.append(_salvage(line, number, reason, layout, symbol))
        else:
            good.append(line)
            numbers.append(number)
    trades = _no_trades()
    if good:
        table = _read(b"\n".join(good), layout)
        if table is None or table.num_rows != len(good):
            raise AssertionError(f"lines {numbers[0]} to {numbers[-1]} were found good and could not be read")
        trades = _trades(table, np.array(numbers), symbol, layout)
    return build(trades, refused, ignored)


def _salvage(line: bytes, number: int, reason: str, layout: Layout, symbol: str) -> Refused:
    """Return the fault of a line, with symbol and id as far as they can be trusted."""
    cells = dict(zip(layout.columns, line.split(b","), strict=False))
    name = cells.get("symbol", symbol.encode())
    whole = line.count(b",") + 1 == len(layout.columns)
    if not (whole and re.fullmatch(_CELLS["symbol"], name)):
        return Refused(number, reason)
    told = next((cells[kind] for kind in ("id", "uuid") if kind in cells and re.fullmatch(_CELLS[kind], cells[kind])), None)
    return Refused(number, reason) if told is None else Refused(number, reason, name.decode(), trade_ids.of_text(told.decode()))


def _read(data: bytes, layout: Layout) -> pa.Table | None:
    """Return the columns of all lines that have a name, None if any line cannot be right."""
    names = [name or f"unused {k}" for k, name in enumerate(layout.columns)]
    needed = [name for name in layout.columns if name]
    try:
        table = pcsv.read_csv(
            pa.BufferReader(data),
            read_options=pcsv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
            parse_options=pcsv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            convert_options=pcsv.ConvertOptions(
                column_types={name: _ARROW.get(name, pa.int64()) for name in needed},
                include_columns=needed,
                null_values=[],
                true_values=["true", "True", "TRUE", "1"],
                false_values=["false", "False", "FALSE", "0"],
            ),
        )
    except pa.ArrowInvalid:
        return None
    return table if all(_fits(table, name) for name in needed) else None


def _fits(table: pa.Table, name: str) -> bool:
    """Whether all cells of a column, which Arrow could read, are also what they must be."""
    if name in {"id", "number"}:
        values = table[name].to_numpy()
        return bool((values >= 0).all() and (name == "id" or (values < 10**9).all()))
    if name in {"side", "symbol"}:
        return all(re.fullmatch(_CELLS[name], text.encode()) for text in table[name].unique().to_pylist())
    if name in {"uuid", "seconds", "iso"}:
        return bool(pc.all(pc.match_substring_regex(table[name], f"^(?:{_CELLS[name].decode()})$")).as_py())
    return True


def _trades(table: pa.Table, numbers: Ints, symbol: str, layout: Layout) -> Trades:
    names = table.column_names
    time = _times(table)
    return Trades(
        frame=numbers,
        symbol=table["symbol"].to_pylist() if "symbol" in names else [symbol] * table.num_rows,
        trade_id=_ids(table, time),
        price=plain(table["price"].to_pylist()) if layout.scientific else table["price"].to_pylist(),
        size=plain(table["size"].to_pylist()) if layout.scientific else table["size"].to_pylist(),
        time=time,
        seller=pc.equal(pc.ascii_lower(table["side"]), "sell").to_numpy() if "side" in names else table["seller"].to_numpy(),
        first_fill=table["first"].to_numpy() if "first" in names else None,
        last_fill=table["last"].to_numpy() if "last" in names else None,
        recv_ns=nanoseconds(table["received"].to_numpy()) if "received" in names else None,
    )


def plain(texts: Sequence[str]) -> list[str]:
    """Return decimal texts, those like `1e-05` written out; all others as they are."""
    return [f"{Decimal(text):f}" if _SCIENTIFIC.fullmatch(text) else text for text in texts]


def _times(table: pa.Table) -> Ints:
    if "time" in table.column_names:
        times: Ints = table["time"].to_numpy()
        return times
    if "iso" in table.column_names:
        return all_rfc3339_us(table["iso"].to_pylist())
    seconds = pc.cast(table["seconds"], pa.float64()).to_numpy()
    us: Ints = np.rint(seconds * 1e6).astype(np.int64)  # a double tells a quarter of a microsecond apart until 2106
    return us


def _ids(table: pa.Table, time: Ints) -> Ints:
    names = table.column_names
    if "uuid" in names:
        return np.fromiter(map(trade_ids.of_text, table["uuid"].to_pylist()), np.int64, table.num_rows)
    if "number" in names:
        return trade_ids.of_lines(table["number"].to_numpy(), time)
    ids: Ints = table["id"].to_numpy()
    return ids


def _no_trades() -> Trades:
    none = np.zeros(0, np.int64)
    return Trades(none, [], none, [], [], none, none.astype(np.bool_))
