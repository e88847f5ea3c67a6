"""Bybit's archives: both layouts, old and new, forward and backward, from the file on disk to rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources import Position, Source, SourceError, open_source
from pipelines.tape import TRADE, VOID
from pipelines.venues import trade_ids, venue
from pipelines.venues.bybit_archive import SPOT, TRADING, layout_of
from pipelines.venues.bybit_frames import decode as decode_frames
from pipelines.venues.csv_trades import Layout, decode
from tests.conftest import SHARED

ID = "6b1f2c1e-3a5e-5c0b-9d02-7f00aa11bb01"
LINE = f"1795204800.0110,BTCUSDT,Buy,0.25,91240.50,PlusTick,{ID},2.2810125e+12,0.25,22810.125,0".encode()
OLD_LINE = LINE.rpartition(b",")[0]
SPOT_LINE = b"1,1795204800020,91252.1,0.004,sell,1"
OLD_SPOT_LINE = SPOT_LINE.rpartition(b",")[0]
T = 1_795_204_800_011_000


@pytest.mark.parametrize(("line", "layout"), [(LINE, TRADING[0]), (OLD_LINE, TRADING[1])])
def test_a_line_of_contracts(line: bytes, layout: Layout) -> None:
    for text in (line, layout.header + b"\n" + line + b"\r\n"):
        assert layout_of(text.split(b"\n")[0], "linear") == layout_of(text.split(b"\n")[0], "inverse") == layout
        decoded = decode(text, layout, "")
        assert decoded.faults == []
        assert decoded.symbols == ["BTCUSDT"]
        (row,) = decoded.rows
        assert (row["trade_id"], row["ts"], row["price"], row["size"], row["side"]) == (UUID(ID).int >> 65, T, 91240.5, 0.25, 1)


@pytest.mark.parametrize(("line", "layout"), [(SPOT_LINE, SPOT[0]), (OLD_SPOT_LINE, SPOT[1])])
def test_a_line_of_spot(line: bytes, layout: Layout) -> None:
    for text in (line, layout.header + b"\n" + line + b"\n"):
        assert layout_of(text.split(b"\n")[0], "spot") == layout
        decoded = decode(text, layout, "BTCUSDT")
        assert decoded.faults == []
        (row,) = decoded.rows
        assert (row["trade_id"], row["ts"], row["price"], row["size"], row["side"]) == (
            1795204800020001,
            1795204800020000,
            91252.1,
            0.004,
            -1,
        )


def test_each_market_has_its_own_archive() -> None:
    assert layout_of(LINE, "spot") is None
    assert layout_of(SPOT_LINE, "linear") is None
    assert venue("bybit-spot").archive_layout(SPOT_LINE) == SPOT[0]
    assert venue("bybit-inverse").archive_layout(LINE) == TRADING[0]


def test_ids_of_an_archive_of_contracts_are_those_of_the_live_tape() -> None:
    trade = {"T": T // 1000, "s": "BTCUSDT", "S": "Buy", "v": "0.25", "p": "91240.50", "i": ID}
    live = decode_frames([json.dumps({"topic": "publicTrade.BTCUSDT", "data": [trade]}).encode()]).rows
    archived = decode(LINE, TRADING[0], "").rows
    names = ["trade_id", "ts", "price", "size", "side"]
    assert live[names].tolist() == archived[names].tolist()


def test_lines_numbered_anew_each_day_have_ids_that_rise_with_time() -> None:
    day = 86_400_000
    lines = [b"%d,%d,1.5,2,buy,0" % (n, 1795132800000 + d * day + n // 3) for d in range(2) for n in range(1, 2000)]
    ids = decode(b"\n".join(lines), SPOT[0], "BTCUSDT").rows["trade_id"]
    assert np.unique(ids).size == ids.size
    assert (np.diff(ids // 1000) >= 0).all()


@pytest.mark.parametrize(
    ("bad", "reason", "void"),
    [
        (LINE.replace(b"6b1f", b"6x1f"), "uuid was malformed: '6x1f2c1e-3a5e-5c0b-9d02-7f00aa11bb01'", False),
        (LINE.replace(b"Buy", b"BUY"), "side was malformed: 'BUY'", True),
        (LINE.replace(b"1795204800.0110", b"1.7952048e9"), "seconds was malformed: '1.7952048e9'", True),
        (LINE.replace(b"1795204800.0110", b"nan"), "seconds was malformed: 'nan'", True),
        (LINE.replace(b"1795204800.0110", b"5.5"), "time was not between 2010 and 2100: 5500000", True),
        (LINE.replace(b",0.25,", b",0,", 1), "size was not above zero: '0'", True),
        (LINE[:40], "line had 5 columns instead of 11", False),
    ],
)
def test_a_bad_line_is_a_fault_where_it_stands(bad: bytes, reason: str, void: bool) -> None:
    decoded = decode(b"\n".join([LINE, bad, LINE]), TRADING[0], "")
    kinds = dict(zip(decoded.rows["frame"].tolist(), decoded.rows["kind"].tolist(), strict=True))
    assert kinds == {1: TRADE, 3: TRADE} | ({2: VOID} if void else {})
    (fault,) = decoded.faults
    assert (fault.frame, fault.reason) == (2, reason)


@pytest.mark.parametrize("number", [b"-1", b"1000000000", b"x"])
def test_a_bad_number_of_a_line_is_a_fault(number: bytes) -> None:
    decoded = decode(b"\n".join([SPOT_LINE, SPOT_LINE.replace(b"1", number, 1)]), SPOT[0], "BTCUSDT")
    assert [f.frame for f in decoded.faults] == [2]
    assert decoded.rows.size == 1


@given(st.integers(0, 4_102_444_799_999_999).filter(lambda us: us > 1_262_304_000_000_000))
def test_seconds_are_exact_to_the_microsecond(us: int) -> None:
    text = f"{us // 10**6}.{us % 10**6:06}".encode()
    (row,) = decode(LINE.replace(b"1795204800.0110", text), TRADING[0], "").rows
    assert row["ts"] == us


@given(st.uuids())
def test_the_first_63_bits_of_a_uuid(number: UUID) -> None:
    assert trade_ids.of_text(str(number)) == trade_ids.of_text(str(number).upper()) == number.int >> 65


@pytest.mark.parametrize("text", ["", "-1", "9223372036854775808", "1" * 30, ID[:-1], ID + "0", ID.replace("-", "_"), "\u0661"])
def test_neither_number_nor_uuid(text: str) -> None:
    assert trade_ids.of_text(text) == -1


# From disk


def day(count: int, *, backward: bool = False) -> bytes:
    head = "{:.4f},BTCUSDT,{},{},91240.50,PlusTick,{},1,1,1"
    ids = [uuid5(UUID(int=0), str(k)) for k in range(count)]
    lines = [head.format(1795132800 + k / 4, "Buy" if k % 3 else "Sell", k + 1, ids[k]) for k in range(count)]
    return "\n".join([TRADING[1].header.decode(), *(lines[::-1] if backward else lines)]).encode()


def rows_of(source: Source, size: int = 100) -> list[tuple[float, ...]]:
    parts = [piece.rows.rows for piece in source.pieces(size=size) if piece.rows]
    return [row for part in parts for row in part[["ts", "trade_id", "size", "side"]].tolist()]


@pytest.mark.parametrize("backward", [False, True])
def test_a_day_is_read_forward_however_it_is_sorted(tmp_path: Path, backward: bool) -> None:
    forth, path = tmp_path / "forth" / "BTCUSDT2026-11-20.csv.gz", tmp_path / "BTCUSDT2026-11-20.csv.gz"
    forth.parent.mkdir()
    forth.write_bytes(gzip.compress(day(300)))
    path.write_bytes(gzip.compress(day(300, backward=backward)))
    source = open_source([path], venue="bybit-linear")
    assert source.whole
    assert source.tape == "fill"
    assert [i.symbol for i in source.instruments] == ["BTC-USDT-PERP"]
    rows = rows_of(source)
    assert [row[0] for row in rows] == [1795132800000000 + k * 250_000 for k in range(300)]
    assert rows == rows_of(open_source([forth], venue="bybit-linear"), size=7)
    again = [piece.rows.rows for piece in source.pieces(Position(0, 251), 30) if piece.rows]
    assert [int(part["size"][0]) for part in again] == [251, 281]


def test_a_day_of_spot_is_named_by_its_file(tmp_path: Path) -> None:
    lines = [b"%d,%d,1.5,2,buy,0" % (n, 1795132800000 + n) for n in range(1, 4)]
    path = tmp_path / "ETHUSDT_2026-11-20.csv.gz"
    path.write_bytes(gzip.compress(b"\n".join([SPOT[0].header, *lines])))
    source = open_source([path], venue="bybit-spot")
    assert source.whole
    assert [i.symbol for i in source.instruments] == ["ETH-USDT"]
    assert len(rows_of(source)) == 3
    nameless = tmp_path / "some.csv.gz"
    nameless.write_bytes(path.read_bytes())
    with pytest.raises(SourceError, match="say which with --symbol"):
        open_source([nameless], venue="bybit-spot")


@pytest.mark.real
def test_documented_lines_are_read() -> None:
    lines = [
        json.loads(line)
        for name in ("archives", "bybit")
        for line in (SHARED / "frames" / f"{name}.jsonl").read_text().splitlines()
    ]
    found = {line["channel"]: line["frame"].encode() for line in lines if line["venue"] == "bybit_public"}
    assert len(found) >= 4
    for kind, market in (("trading", "linear"), ("spot", "spot")):
        header, row = found[f"csv.{kind}.header"], found[f"csv.{kind}.row"]
        layout = venue(f"bybit-{market}").archive_layout(header)
        assert layout is not None
        assert layout == venue(f"bybit-{market}").archive_layout(row)
        decoded = decode(header + b"\n" + row, layout, "BTCUSDT")
        assert (decoded.rows.size, decoded.faults, decoded.ignored) == (1, [], 1)
