"""The fast reader of CSV reads what the careful one reads, to the bit, and leaves it all else."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.history.csv_file import CsvFile
from pipelines.sources.tables import TARDIS
from pipelines.venues import binance_archive, bybit_archive, csv_trades, ftx, okx_archive
from pipelines.venues.csv_trades import Layout

T = 1_795_204_800_000
UUID = b"6b1f2c1e-3a5e-5c0b-9d02-7f00aa11bb01"
EVER = (0, 2**62)


class Form(NamedTuple):
    name: str
    layout: Layout
    line: bytes


OKX = okx_archive.layout_of(b"instrument_name,trade_id,side,price,size,created_time")
FTX = ftx.layout_of(b"id,price,size,side,liquidation,time")
assert OKX is not None
assert FTX is not None
FORMS = [
    Form("agg", binance_archive.LAYOUTS[1], b"3055120001,91231.4,0.42,7090110001,7090110009,1795204800005,true"),
    Form("spot agg", binance_archive.LAYOUTS[0], b"389,91250.10000000,0.01500000,562,564,1795204800012345,False,True"),
    Form("fill", binance_archive.LAYOUTS[3], b"7090110001,91231.4,0.1,9123.14,1795204800005,true"),
    Form(
        "bybit",
        bybit_archive.TRADING[0],
        b"1795204800.0110,BTCUSDT,Buy,0.25,91240.50,PlusTick," + UUID + b",2.2810125e+12,0.25,22810.125,0",
    ),
    Form("bybit spot", bybit_archive.SPOT[0], b"1,1795204800020,91252.1,0.004,sell,1"),
    Form("okx", OKX, b"BTCUSDT,1988200101,buy,91233.1,12.5,1795204800008"),
    Form("ftx", FTX, b"4900000001,16890.0,0.0123,buy,False,2022-11-09T10:00:00.123456+00:00"),
    Form("tardis", TARDIS, b"binance-futures,BTCUSDT,1582329602111000,1582329602418379,42377944,buy,9682,0.132"),
]
NAMES = ["ts", "trade_id", "price", "size", "first_fill", "last_fill", "recv_ns", "frame", "side", "kind"]
CELLS = st.sampled_from(
    [
        *(b"", b"0", b"1", b"-1", b"5", b"00012", b"1.", b".5", b".", b"0.0", b"1e-05", b"2E3", b"nan", b"inf", b"+3", b" 7"),
        *(b"91250.10000000", b"12345678.10000000", b"12345678.12345678", b"0.000000000000000001", b"0.1234567890123456789"),
        *(b"999999999999", b"1000000000000", b"123456789012345", b"1234567890123456", b"999999999999999999", b"9" * 19),
        *(b"true", b"True", b"TRUE", b"tRUE", b"false", b"False", b"FALSE", b"truE", b"buy", b"Buy", b"BUY", b"sell", b"Sell"),
        *(b"BTCUSDT", b"ETHUSDT", b"BTCUSD", UUID, UUID.upper(), UUID[:-1], UUID.replace(b"-", b"x"), b"\xff", b'"5"'),
        *(b"1795204800", b"1795204800.5", b"01795204800.5", b"1795204800.123456", b"1795204800.123456789", b"1795204800."),
        *(b"1795204800000", b"1795204800000000", b"1795204800000000000", b"1000", b"4102444800000", b"a" * 50),
        *(b"2022-11-09T10:00:00Z", b"2022-11-09T10:00:00.1+00:00", b"2022-11-09T10:00:00.123456789Z", b"2022-02-29T00:00:00Z"),
        *(b"2024-02-29T23:59:59.999999Z", b"2022-11-09 10:00:00Z", b"2022-11-09T10:00:00.Z", b"2022-11-09T24:00:00Z"),
        *(
            b"2022-11-09T10:00:00",
            b"2022-11-09T10:00:00+01:00",
            b"2022-13-09T10:00:00Z",
            b"2022-1a-09T10:00:00Z",
            b"Z",
            b"+00:00",
        ),
    ]
)


def test_each_form_is_read_without_the_careful_reader() -> None:
    for form in FORMS:
        block, number, before = CsvFile(None, form.layout, "BTCUSDT", backward=False)._block(form.line + b"\n", 1, 0, *EVER)  # type: ignore[arg-type]
        assert (block.lines.size, block.refused, block.foreign, number) == (1, [], 0, 2), form.name
        assert before == block.lines["ts"][0]


def both(layout: Layout, data: bytes) -> None:
    block, _, _ = CsvFile(None, layout, "BTCUSDT", backward=False)._block(data, 1, 0, *EVER)  # type: ignore[arg-type]
    decoded = csv_trades.decode(data, layout, "BTCUSDT")
    mine = decoded.symbols.index("BTCUSDT") if "BTCUSDT" in decoded.symbols else -1
    rows = decoded.rows[decoded.rows["instrument"] == mine]
    times = rows["ts"] > 0  # a void without a time of its own gets that of the line before
    for name in NAMES:
        ours = block.lines[name] if name != "ts" else np.where(times, block.lines["ts"], 0)
        np.testing.assert_array_equal(ours, rows[name], err_msg=f"{name} of {data!r}")
    assert [fault for fault, _ in block.refused] == [f for f in decoded.faults if f.symbol in ("", "BTCUSDT")]
    assert block.foreign == np.unique(decoded.rows["frame"][decoded.rows["instrument"] != mine]).size


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(FORMS), st.data())
def test_it_reads_what_the_careful_reader_reads(form: Form, data: st.DataObject) -> None:
    lines = []
    for _ in range(data.draw(st.integers(1, 4))):
        cells = form.line.split(b",")
        for _ in range(data.draw(st.integers(0, 2))):
            cells[data.draw(st.integers(0, len(cells) - 1))] = data.draw(CELLS)
        line = b",".join(cells)
        extra = data.draw(st.sampled_from(["", "", "", "", "cut", "more", "blank", "#"]))
        line = {"cut": line.rpartition(b",")[0], "more": line + b",1", "blank": b"", "#": b"#" + line}.get(extra, line)
        lines.append(line + data.draw(st.sampled_from([b"\n", b"\r\n"])))
    both(form.layout, b"".join(lines))


@settings(max_examples=300, deadline=None)
@given(st.decimals(0, 10**13, allow_nan=False, allow_infinity=False, places=8) | st.floats(1e-9, 1e9).map(str))
def test_decimals_are_the_nearest_doubles(number: object) -> None:
    both(FORMS[0].layout, f"1,{number},{number},1,2,{T},true\n".encode())


@pytest.mark.parametrize("text", ["0.3", "2.675", "123456789.012345", "0.000000000000123", "9007199254740.99", "100000000000000"])
def test_a_decimal_by_hand(text: str) -> None:
    line = f"1,{text},{text},1,2,{T},true\n".encode()
    (row,) = CsvFile(None, FORMS[0].layout, "", backward=False)._block(line, 1, 0, *EVER)[0].lines  # type: ignore[arg-type]
    if float(text) < 1e12:
        assert (row["price"], row["size"], row["kind"]) == (float(text), float(text), 0)
    else:
        assert row["kind"] == 2


@settings(max_examples=200, deadline=None)
@given(st.datetimes(dt.datetime(2010, 1, 1), dt.datetime(2099, 12, 31)))  # noqa: DTZ001 - UTC is written behind it
def test_times_as_text(moment: dt.datetime) -> None:
    assert FTX is not None
    both(FTX, f"1,1.5,2,buy,false,{moment.isoformat()}Z\n1,1.5,2,buy,false,{moment.isoformat()}+00:00\n".encode())
