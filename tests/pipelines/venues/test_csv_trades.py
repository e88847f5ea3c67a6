"""Archives as CSV: every layout, read fast, and line by line where a line is bad."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources.tables import DUMP, TARDIS
from pipelines.tape import TRADE, VOID
from pipelines.venues.binance_archive import LAYOUTS, layout_of
from pipelines.venues.csv_trades import Layout, decode

SPOT_AGG = b"3890122001,91250.10000000,0.01500000,5620110300,5620110302,1795204800012345,False,True"
USDM_AGG = b"3055120001,91231.4,0.42,7090110001,7090110009,1795204800005,true"
SPOT_FILL = b"5620110300,91250.10000000,0.00500000,456.25050000,1795204800012345,False,True"
USDM_FILL = b"7090110001,91231.4,0.1,9123,1795204800005,true"
TARDIS_FILL = b"binance-futures,BTCUSDT,1582329602111000,1582329602418379,42377944,sell,9682,0.132"


def layout(line: bytes) -> Layout:
    found = layout_of(line)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (SPOT_AGG, "agg"),
        (USDM_AGG + b"\r\n", "agg"),
        (SPOT_FILL, "fill"),
        (USDM_FILL, "fill"),
        (b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker", "agg"),
        (b"id,price,qty,quote_qty,time,is_buyer_maker\n", "fill"),
        (b"id,price,qty,base_qty,time,is_buyer_maker", "fill"),
        (b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume", None),
        (b"1795204800000000,91250.1,91262.0,91240.0,91255.0,12.5,1795204859999999,1140721.1,2213,6.1,556650.0,0", None),
        (TARDIS_FILL, None),
        (b"", None),
    ],
)
def test_the_tape_is_told_by_the_first_line(line: bytes, kind: str | None) -> None:
    found = layout_of(line)
    assert (found.tape if found else None) == kind


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (SPOT_AGG, (3890122001, 1795204800012345, 91250.1, 0.015, 1, 5620110300, 5620110302, 3)),
        (USDM_AGG, (3055120001, 1795204800005000, 91231.4, 0.42, -1, 7090110001, 7090110009, 9)),
        (SPOT_FILL, (5620110300, 1795204800012345, 91250.1, 0.005, 1, -1, -1, 1)),
        (USDM_FILL, (7090110001, 1795204800005000, 91231.4, 0.1, -1, -1, -1, 1)),
    ],
)
def test_each_layout_is_read(line: bytes, row: tuple[float, ...]) -> None:
    names = ["trade_id", "ts", "price", "size", "side", "first_fill", "last_fill", "fills"]
    found = layout(line)
    for text in (line, line + b"\n", line + b"\r\n", found.header + b"\n" + line + b"\n"):
        decoded = decode(text, found, "BTCUSDT")
        assert decoded.faults == []
        assert decoded.rows[names].tolist() == [row]
        assert decoded.rows["frame"].tolist() == [2 if text.startswith(found.header) else 1]
        assert decoded.symbols == ["BTCUSDT"]


def test_tardis_names_symbol_side_and_receipt() -> None:
    other = TARDIS_FILL.replace(b"BTCUSDT", b"ETHUSDT").replace(b"sell", b"buy")
    decoded = decode(b"\n".join([TARDIS.header, TARDIS_FILL, other]), TARDIS, "")
    assert decoded.rows["side"].tolist() == [-1, 1]
    assert decoded.rows["recv_ns"].tolist() == [1582329602418379000] * 2
    assert [decoded.symbols[i] for i in decoded.rows["instrument"]] == ["BTCUSDT", "ETHUSDT"]


def test_comments_and_blank_lines_are_ignored() -> None:
    row = b"1741046401272286,trxusdt@trade,trade,1741046401271969,1741046401271497,TRXUSDT,348656870,0.2312,2619.4,1,True"
    decoded = decode(b"\n".join([b"# a dump", b"# of trades", DUMP.header, row, b"", row, b""]), DUMP, "")
    assert decoded.faults == []
    assert decoded.rows["frame"].tolist() == [4, 6]
    assert decoded.ignored == 4


@pytest.mark.parametrize(
    ("bad", "reason", "void"),
    [
        (USDM_AGG.replace(b"true", b"maybe"), "seller was malformed: 'maybe'", True),
        (USDM_AGG.replace(b"91231.4", b"0.0"), "price was not above zero: '0.0'", True),
        (USDM_AGG.replace(b"91231.4", b" 1"), "price was not plain decimal text: ' 1'", True),
        (USDM_AGG.replace(b"91231.4", b""), "price was not a number: ''", True),
        (USDM_AGG.replace(b"0.42", b"\xff"), "size was malformed: '\ufffd'", True),
        (USDM_AGG.replace(b"1795204800005", b"soon"), "time was malformed: 'soon'", True),
        (USDM_AGG.replace(b"1795204800005", b"5"), "time was not between 2010 and 2100: 5", True),
        (USDM_AGG.replace(b"3055120001", b"-1"), "id was malformed: '-1'", False),
        (USDM_AGG.replace(b"3055120001", b"99999999999999999999"), "id was malformed", False),
        (USDM_AGG.replace(b"3055120001", b'"3055120001"'), "id was malformed", False),
        (USDM_AGG[:30], "line had 4 columns instead of 7", False),
        (USDM_AGG + b",True", "line had 8 columns instead of 7", False),
        (USDM_AGG.replace(b",", b"\r", 1), "line had 6 columns instead of 7", False),
    ],
)
def test_a_bad_line_is_a_fault_where_it_stands(bad: bytes, reason: str, void: bool) -> None:
    found = layout(USDM_AGG)
    decoded = decode(b"\n".join([USDM_AGG, bad, USDM_AGG, b""]), found, "BTCUSDT", first_line=100)
    kinds = dict(zip(decoded.rows["frame"].tolist(), decoded.rows["kind"].tolist(), strict=True))
    assert kinds == {100: TRADE, 102: TRADE} | ({101: VOID} if void else {})
    (fault,) = decoded.faults
    assert fault.frame == 101
    assert fault.reason.startswith(reason)


def test_an_unknown_side_or_symbol_is_a_fault() -> None:
    lines = [TARDIS_FILL, TARDIS_FILL.replace(b"sell", b"unknown"), TARDIS_FILL.replace(b"BTCUSDT", b"X" * 41)]
    decoded = decode(b"\n".join(lines), TARDIS, "")
    assert [f.frame for f in decoded.faults] == [2, 3]
    assert decoded.rows["kind"].tolist() == [TRADE, VOID]


def test_a_header_alone_is_ignored() -> None:
    assert decode(LAYOUTS[0].header, LAYOUTS[0], "BTCUSDT")[2:4] == ([], 1)


@given(st.lists(st.binary(max_size=30).filter(lambda b: b"\n" not in b), max_size=5), st.sampled_from([*LAYOUTS, TARDIS, DUMP]))
def test_no_bytes_raise(lines: list[bytes], chosen: Layout) -> None:
    decoded = decode(b"\n".join(lines), chosen, "BTCUSDT")
    assert decoded.rows.size == 0


@given(st.integers(0, 2**32))
def test_a_damaged_file_raises_nothing_and_loses_no_line(seed: int) -> None:
    rng = random.Random(seed)
    lines = [bytearray(SPOT_AGG) for _ in range(6)]
    for _ in range(rng.randrange(1, 4)):
        line = rng.choice(lines)
        line[rng.randrange(len(line))] = rng.choice(b"0159.,-+eTF\r#\"' \xff\x00")
    decoded = decode(b"\n".join(lines), LAYOUTS[0], "BTCUSDT")
    trades = decoded.rows[decoded.rows["kind"] == TRADE]
    assert trades.size + len(decoded.faults) + decoded.ignored == 6
    assert len({f.frame for f in decoded.faults}) == len(decoded.faults)
