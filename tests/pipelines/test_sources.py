"""Files become a tape: recognised by content, cut and resumed anywhere, refused with one clear error."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from pipelines.records import InstrumentRecord, Instruments, Kind, split_head
from pipelines.sources import Piece, Position, Source, SourceError, open_source
from pipelines.store.segment import lay_out
from pipelines.tape import TRADE
from pipelines.venues import venue
from tests.conftest import SHARED

T0 = 1_795_204_800_000


def fill(number: int, symbol: str = "BTCUSDT") -> str:
    event = {
        "e": "trade",
        "E": T0,
        "T": T0 + number,
        "s": symbol,
        "t": number,
        "p": "91231.50",
        "q": "0.015",
        "X": "MARKET",
        "m": False,
    }
    return json.dumps({"stream": f"{symbol.lower()}@trade", "data": event})


def agg(number: int, symbol: str = "BTCUSDT") -> str:
    event = {
        "e": "aggTrade",
        "T": T0 + number,
        "s": symbol,
        "a": number,
        "p": "91231.50",
        "q": "0.015",
        "f": 1,
        "l": 2,
        "m": False,
    }
    return json.dumps({"stream": f"{symbol.lower()}@aggTrade", "data": event})


def timed(*frames: str, start: int = 0) -> bytes:
    return "".join(f"{(T0 + start + k) * 1_000_000} {f}\n" for k, f in enumerate(frames)).encode()


def captured(*frames: str) -> bytes:
    info = {
        "symbols": [
            {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "contractType": "PERPETUAL", "status": "SEEN"}
        ]
    }
    lines: list[dict[str, Any]] = [
        {"t": "header", "format": 2},
        {"t": "http", "ts": T0 / 1000, "url": "https://fapi.binance.com/fapi/v1/exchangeInfo", "data": json.dumps(info)},
        {"t": "connect", "conn": "ws.1", "ts": T0 / 1000, "addr": "wss://x"},
        {"t": "send", "conn": "ws.1", "ts": T0 / 1000, "data": "{}"},
        *({"t": "recv", "conn": "ws.1", "ts": T0 / 1000 + k / 8, "data": f} for k, f in enumerate(frames)),
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


AGG_CSV = b"".join(b"%d,91231.4,0.42,1,9,%d,true\n" % (k, T0 + k) for k in range(1, 8))
TARDIS_CSV = b"exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n" + b"".join(
    b"binance-futures,%s,%d,%d,%d,buy,9682,0.132\n" % (s, (T0 + k) * 1000, (T0 + k) * 1000 + 7, k)
    for k in range(1, 4)
    for s in (b"BTCUSDT", b"ETHUSDT")
)
CCXT = json.dumps(
    [
        {"info": {"a": k, "p": "0.00141342", "q": "23.0", "f": 1, "l": 1, "T": T0 + k, "m": True, "M": True}, "symbol": "XRP/ETH"}
        for k in range(1, 6)
    ]
).encode()


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def zstd(content: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(content, asbytes=True))


def unpack(source: Source, pieces: list[Piece]) -> tuple[list[int], list[int], int]:
    """Return trade ids, receive times and the number of faults, whatever the pieces hold."""
    ids: list[int] = []
    received: list[int] = []
    faults = 0
    for piece in pieces:
        if piece.batch is not None:
            frames = [p for p, kind in zip(piece.batch.payload, piece.batch.kind, strict=True) if kind == Kind.FRAME]
            decoded = venue(source.venue).decode(frames, source.tape)
            received += piece.batch.recv_ns.tolist()
        else:
            assert piece.rows is not None
            decoded = piece.rows
            received += decoded.rows["recv_ns"].tolist()
            assert len(piece.refused) == len(decoded.faults)
        ids += decoded.rows["trade_id"].tolist()
        faults += len(decoded.faults)
    return ids, received, faults


def trades(source: Source) -> list[int]:
    return unpack(source, list(source.pieces()))[0]


@pytest.mark.parametrize("packing", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_lines_with_a_receive_time(tmp_path: Path, packing: Callable[[bytes], bytes]) -> None:
    source = open_source([put(tmp_path, "any.name", packing(timed(*map(fill, range(1, 6)))))], venue="binance-usdm")
    assert (source.kind, source.tape, source.venue) == ("frames", "fill", "binance-usdm")
    assert [i.symbol for i in source.instruments] == ["BTC-USDT-PERP"]
    (piece,) = source.pieces()
    assert piece.batch is not None
    assert piece.batch.payload[0] == fill(1).encode()
    assert piece.batch.recv_ns.tolist() == [(T0 + k) * 1_000_000 for k in range(5)]
    assert piece.batch.offset.tolist() == [1, 2, 3, 4, 5]
    assert (set(piece.batch.kind.tolist()), piece.batch.end, piece.batch.segment) == ({Kind.FRAME}, 6, "any.name")
    assert piece.position == Position(0, 5)


def test_receive_times_in_microseconds(tmp_path: Path) -> None:
    source = open_source([put(tmp_path, "c", f"{T0 * 1000 + 7} {agg(1)}\r\n".encode())], venue="binance-spot")
    assert unpack(source, list(source.pieces())) == ([1], [(T0 * 1000 + 7) * 1000], 0)


def test_a_json_capture_brings_its_instruments(tmp_path: Path) -> None:
    source = open_source([put(tmp_path, "c.zst", zstd(captured(agg(1), agg(2))))], venue="binance-usdm")
    assert [(i.symbol, i.status) for i in source.instruments] == [("BTC-USDT-PERP", "SEEN")]
    ids, received, faults = unpack(source, list(source.pieces()))
    assert (ids, received, faults) == ([1, 2], [T0 * 1_000_000, T0 * 1_000_000 + 125_000_000], 0)


def test_lines_that_are_no_records_reach_the_decoder_and_are_refused_there(tmp_path: Path) -> None:
    torn = timed(fill(1)) + b"no time at all\n\n" + b"9" * 19 + b" {}\n" + timed(fill(2)).rstrip(b"\n")[:-5]
    assert unpack(s := open_source([put(tmp_path, "a", torn)], venue="binance-usdm"), list(s.pieces()))[::2] == ([1], 4)
    odd = captured(agg(1)) + b'{"t":"recv","ts":"x"}\n{"t":"news"}\n{"t":"recv","ts":1e300,"data":"{}"}\n{"t":'
    assert unpack(s := open_source([put(tmp_path, "b", odd)], venue="binance-usdm"), list(s.pieces()))[::2] == ([1], 4)


def test_aggregates_win_over_fills(tmp_path: Path) -> None:
    source = open_source([put(tmp_path, "c", timed(fill(1), agg(5), fill(2), agg(6)))], venue="binance-usdm")
    assert (source.tape, trades(source)) == ("agg", [5, 6])


def test_one_symbol_of_several_is_taken(tmp_path: Path) -> None:
    path = put(tmp_path, "c", timed(fill(1), fill(7, "ETHUSDT"), "garbage", fill(2)))
    source = open_source([path], venue="binance-usdm", symbol="ETHUSDT")
    assert [i.symbol for i in source.instruments] == ["ETH-USDT-PERP"]
    assert unpack(source, list(source.pieces())) == ([7], [(T0 + 1) * 1_000_000, (T0 + 2) * 1_000_000], 1)
    both = open_source([path], venue="binance-usdm")
    assert [i.symbol for i in both.instruments] == ["BTC-USDT-PERP", "ETH-USDT-PERP"]
    assert trades(both) == [1, 7, 2]
    assert both.digest != source.digest


@pytest.mark.parametrize(
    "header", [b"", b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"]
)
def test_an_archive_is_named_by_its_file_or_by_the_user(tmp_path: Path, header: bytes) -> None:
    path = put(tmp_path, "BTCUSDT-aggTrades-2026-11-19.csv", header + AGG_CSV)
    source = open_source([path], venue="binance-usdm")
    assert (source.kind, source.tape, [i.symbol for i in source.instruments]) == ("rows", "agg", ["BTC-USDT-PERP"])
    assert trades(source) == [1, 2, 3, 4, 5, 6, 7]
    plain = put(tmp_path, "x.csv", AGG_CSV)
    assert trades(open_source([plain], venue="binance-usdm", symbol="BTCUSDT")) == [1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(SourceError, match="tells no symbol; say which with --symbol"):
        open_source([plain], venue="binance-usdm")
    with pytest.raises(SourceError, match="an archive of BTCUSDT by its name, not of ETHUSDT"):
        open_source([path], venue="binance-usdm", symbol="ETHUSDT")


def test_an_archive_in_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-aggTrades-2026-11-19.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("BTCUSDT-aggTrades-2026-11-19.csv", AGG_CSV)
    assert trades(open_source([path], venue="binance-usdm")) == [1, 2, 3, 4, 5, 6, 7]
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("second.csv", AGG_CSV)
    with pytest.raises(SourceError, match="holds 2 files instead of one"):
        open_source([path], venue="binance-usdm")


def test_tardis_trades(tmp_path: Path) -> None:
    path = put(tmp_path, "t.csv", TARDIS_CSV)
    source = open_source([path], venue="binance-usdm", symbol="ETH-USDT-PERP")
    ids, received, faults = unpack(source, list(source.pieces()))
    assert (ids, faults, source.tape) == ([1, 2, 3], 0, "fill")
    assert received == [((T0 + k) * 1000 + 7) * 1000 for k in range(1, 4)]
    assert [(p.rows.symbols, p.rows.rows["instrument"].tolist()) for p in source.pieces() if p.rows] == [(["ETHUSDT"], [0, 0, 0])]
    assert trades(open_source([path], venue="binance-usdm")) == [1, 1, 2, 2, 3, 3]
    with pytest.raises(SourceError, match="holds trades of binance-usdm, not of binance-spot; change --venue"):
        open_source([path], venue="binance-spot")


def test_ccxt_trades(tmp_path: Path) -> None:
    source = open_source([put(tmp_path, "c.json.gz", gzip.compress(CCXT))], venue="binance-spot")
    assert ([i.symbol for i in source.instruments], source.tape) == (["XRP-ETH"], "agg")
    assert trades(source) == [1, 2, 3, 4, 5]


def test_bad_rows_carry_their_text(tmp_path: Path) -> None:
    lines = AGG_CSV.splitlines(keepends=True)
    lines[3] = b"4,zero,0.42\n"
    source = open_source([put(tmp_path, "BTCUSDT-aggTrades-x.csv", b"".join(lines))], venue="binance-usdm")
    (piece,) = (p for p in source.pieces(size=3) if p.refused)
    assert piece.refused == (b"4,zero,0.42",)
    assert piece.rows is not None
    assert piece.rows.faults[0].frame == 4
    elements = json.loads(CCXT)
    elements[2] = {"symbol": "XRP/ETH"}
    source = open_source([put(tmp_path, "c.json", json.dumps(elements).encode())], venue="binance-spot")
    (piece,) = (p for p in source.pieces(size=2) if p.refused)
    assert piece.rows is not None
    assert (piece.refused, piece.rows.faults[0].frame) == ((b'{"symbol": "XRP/ETH"}',), 3)


def journal(*records: tuple[int, bytes]) -> bytes:
    return lay_out([(T0 * 1_000_000 + k, 1, kind, payload) for k, (kind, payload) in enumerate(records)])


def instruments_record(name: str) -> tuple[int, bytes]:
    listed = [InstrumentRecord("BTC-USDT-PERP", "BTCUSDT", "BTC", "USDT", "0.1", "0.001", "TRADING")]
    return Kind.INSTRUMENTS, msgspec.json.encode(Instruments(name, listed))


def test_a_journal_folder_and_a_lone_segment(tmp_path: Path) -> None:
    head = instruments_record("binance-usdm")
    first = journal(head, (Kind.FRAME, agg(1).encode()), (Kind.HEARTBEAT, b""))
    put(tmp_path, "seg-0000000001.tfj", first)
    put(tmp_path, "seg-0000000002.tfj", journal(head, (Kind.FRAME, agg(2).encode())) + b"torn")
    source = open_source([tmp_path], venue="binance-usdm")
    assert (source.kind, source.tape, len(source.paths)) == ("journal", "agg", 2)
    assert source.instruments[0][:8] == ("binance-usdm", "BTC-USDT-PERP", "BTCUSDT", "BTC", "USDT", "0.1", "0.001", "TRADING")
    pieces = list(source.pieces())
    assert [p.batch.kind.tolist() for p in pieces if p.batch] == [
        [Kind.INSTRUMENTS, Kind.FRAME, Kind.HEARTBEAT],
        [Kind.INSTRUMENTS, Kind.FRAME],
    ]
    assert pieces[0].position == Position(0, len(first))
    assert list(source.pieces(pieces[0].position)) != []
    assert [p.position for p in source.pieces(pieces[0].position)] == [p.position for p in pieces[1:]]
    assert open_source([put(tmp_path, "renamed", first)], venue="binance-usdm").kind == "journal"
    with pytest.raises(SourceError, match="is a journal of binance-usdm, not of demo; change --venue"):
        open_source([tmp_path], venue="demo")
    with pytest.raises(SourceError, match="leave out --symbol"):
        open_source([tmp_path], venue="binance-usdm", symbol="BTCUSDT")


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c", timed(*map(fill, range(1, 8)))),
        ("BTCUSDT-aggTrades-x.csv", AGG_CSV),
        ("t", TARDIS_CSV.replace(b"ETH", b"BTC")),
        ("j", CCXT),
    ],
    ids=["frames", "archive", "tardis", "ccxt"],
)
def test_a_tape_can_be_cut_and_resumed_anywhere(tmp_path: Path, name: str, content: bytes, size: int) -> None:
    where = "binance-spot" if name == "j" else "binance-usdm"
    source = open_source([put(tmp_path, name, content)], venue=where)
    whole = trades(source)
    pieces = list(source.pieces(size=size))
    assert unpack(source, pieces)[0] == whole
    for k, piece in enumerate(pieces):
        position = Position(*json.loads(json.dumps(piece.position)))
        done = unpack(source, pieces[: k + 1])[0]
        assert done + unpack(source, list(source.pieces(position, size)))[0] == whole


def test_several_files_are_one_tape_in_order_of_time(tmp_path: Path) -> None:
    late = put(tmp_path, "a", timed(fill(3), fill(4), start=100))
    early = put(tmp_path, "b", timed(fill(1), fill(2)))
    source = open_source([late, early], venue="binance-usdm")
    assert source.paths == (early, late)
    assert trades(source) == [1, 2, 3, 4]
    assert source.digest == open_source([early, late], venue="binance-usdm").digest
    rest = [unpack(source, list(source.pieces(piece.position)))[0] for piece in source.pieces(size=1)]
    assert rest == [[2, 3, 4], [3, 4], [4], []]


def test_the_digest_is_of_contents_venue_and_symbols(tmp_path: Path) -> None:
    content = timed(fill(1))
    one = open_source([put(tmp_path, "a", content)], venue="binance-usdm")
    assert one.digest == open_source([put(tmp_path, "b", content)], venue="binance-usdm").digest
    assert one.digest == open_source([put(tmp_path, "b", content)], venue="binance-usdm", symbol="BTCUSDT").digest
    others = [
        open_source([put(tmp_path, "b", content)], venue="demo"),
        open_source([put(tmp_path, "b", content.replace(b"0.015", b"0.016"))], venue="binance-usdm"),
    ]
    assert len({one.digest, *(o.digest for o in others)}) == 3


def damaged(content: bytes) -> bytes:
    return content[: len(content) // 2] + b"\0\0\0\0" + content[len(content) // 2 + 4 :]


LONG = timed(*(fill(k * 7919) for k in range(1, 3000)))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (gzip.compress(b""), "is empty"),
        (b"hello, world\n", "is of no known format (it begins 'hello, world'); known are"),
        (bytes(range(256)), "is of no known format"),
        (b"PAR1" + bytes(9), "Parquet is no source of a tape"),
        (b"PK\x03\x04" + bytes(9), "is damaged or cut short"),
        (gzip.compress(LONG)[:-50], "is damaged or cut short"),
        (damaged(gzip.compress(LONG)), "is damaged or cut short"),
        (zstd(LONG)[:-50], "is damaged or cut short"),
        (timed('{"result":null,"id":1}'), "holds no trades"),
        (captured(), "holds no trades of binance-usdm; is it of another venue, or of other channels?"),
        (b"[1,2]", "not of ccxt trades"),
        (b'[{"symbol":"A/B"', "is a JSON array that cannot be read"),
        (b"[]", "holds no trades"),
        (timed(fill(1, "BTCUSD_PERP")), "is a COIN-M contract"),
        (timed(fill(1, "ABCXYZ")), "cannot tell base from quote asset in 'ABCXYZ'"),
    ],
)
def test_what_is_no_tape_is_one_clear_error(tmp_path: Path, content: bytes, fault: str) -> None:
    path = put(tmp_path, "file", content)
    with pytest.raises(SourceError) as caught:
        open_source([path], venue="binance-usdm")
    assert str(caught.value).startswith(f"{path}: ")
    assert fault in str(caught.value)


def test_files_that_are_no_one_tape_are_refused(tmp_path: Path) -> None:
    fills, aggs = put(tmp_path, "f", timed(fill(1))), put(tmp_path, "a", timed(agg(1), start=9))
    archive = put(tmp_path, "BTCUSDT-aggTrades-x.csv", AGG_CSV)
    with pytest.raises(SourceError, match="holds single fills, another file aggregates"):
        open_source([fills, aggs], venue="binance-usdm")
    with pytest.raises(SourceError, match="they are no one tape"):
        open_source([aggs, archive], venue="binance-usdm")


def test_wrong_arguments_say_what_to_do(tmp_path: Path) -> None:
    path = put(tmp_path, "f", timed(fill(1)))
    for paths, arguments, fault in (
        ([], {"venue": "demo"}, "name at least one"),
        ([path], {"venue": "binance"}, "unknown venue 'binance'; use"),
        ([path], {"venue": "binance-usdm", "symbol": "BTC-USDT"}, "did you mean BTC-USDT-PERP"),
        ([path], {"venue": "binance-usdm", "symbol": "ETHUSDT"}, "holds no trades of ETHUSDT, but of BTCUSDT"),
        ([tmp_path / "nothing"], {"venue": "demo"}, "cannot be read: No such file"),
        ([tmp_path], {"venue": "demo"}, "folder without journal segments"),
    ):
        with pytest.raises(ValueError, match=fault):
            open_source(paths, **arguments)


@pytest.mark.real
@pytest.mark.parametrize(
    ("names", "where", "count"),
    [
        (["usdm_btcusdt_20240718.gz"], "binance-usdm", 974),
        (["usdm_btcusdt_20240718.gz", "usdm_btcusdt_20240719.gz"], "binance-usdm", 10_701),
        (["usdm_ethusdt_20240719.gz", "usdm_ethusdt_20240718.gz"], "binance-usdm", 13_655),
        (["spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"], "binance-spot", 19_904),
    ],
)
def test_real_captures_have_no_hole_and_no_fault(names: list[str], where: str, count: int) -> None:
    source = open_source([SHARED / "captures" / name for name in names], venue=where)
    ids, received, faults = unpack(source, list(source.pieces()))
    assert (source.tape, len(source.instruments), len(ids), faults) == ("fill", 1, count, 0)
    assert set(np.diff(ids).tolist()) == {1}
    assert received == sorted(received)


@pytest.mark.real
def test_real_json_captures() -> None:
    source = open_source([SHARED / "captures" / "BINANCE_FUTURES.jsonl.zst"], venue="binance-usdm")
    assert sorted(i.symbol for i in source.instruments) == [
        "AKRO-USDT-PERP",
        "CTK-USDT-PERP",
        "KEEP-USDT-PERP",
        "SUSHI-USDT-PERP",
    ]
    assert all(i.tick for i in source.instruments)
    ids, _, faults = unpack(source, list(source.pieces()))
    assert (source.tape, len(ids), faults) == ("agg", 91, 0)
    answers = [p.batch.payload[k] for p in source.pieces() if p.batch for k in np.flatnonzero(p.batch.kind == Kind.BOOK)]
    heads = [split_head(answer) for answer in answers]
    assert [msgspec.json.decode(head)["symbol"] for head, _ in heads] == ["SUSHIUSDT", "AKROUSDT", "KEEPUSDT", "CTKUSDT"]
    assert all(body.startswith(b'{"lastUpdateId"') for _, body in heads)
    spot = open_source([SHARED / "captures" / "BINANCE.jsonl.zst"], venue="binance-spot")
    assert (spot.tape, len(trades(spot))) == ("agg", 2)
    quoted_alone = {"BLZ-ETH", "RUNE-EUR"}
    assert {i.symbol for i in spot.instruments} == quoted_alone | {"LRC-BTC", "NKN-USDT"}


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "where", "symbol", "count", "steps"),
    [
        ("freqtrade_XRP_OLD-trades.json.gz", "binance-spot", "XRP-ETH", 12_477, {1}),
        ("tardis_binance-futures_BTCUSDT_trades_20200222.csv.gz", "binance-usdm", "BTC-USDT-PERP", 9_999, {1}),
        ("lasota_test_positive_binance_trade_stream_spot_trxusdt_04-03-2025.csv.gz", "binance-spot", "TRX-USDT", 10_000, {1}),
        (
            "lasota_test_negative_binance_trade_stream_spot_trxusdt_04-03-2025.csv.gz",
            "binance-spot",
            "TRX-USDT",
            10_000,
            {0, 1, 2},
        ),
    ],
)
def test_real_trades(name: str, where: str, symbol: str, count: int, steps: set[int]) -> None:
    source = open_source([SHARED / "trades" / name], venue=where)
    assert [i.symbol for i in source.instruments] == [symbol]
    rows = np.concatenate([p.rows.rows for p in source.pieces() if p.rows])
    assert (rows.size, set(rows["kind"].tolist())) == (count, {TRADE})
    assert set(np.diff(rows["trade_id"]).tolist()) == steps


def test_an_instrument_that_only_quotes_is_on_the_tape_too(tmp_path: Path) -> None:
    quote = {"e": "bookTicker", "u": 1, "s": "ETHUSDT", "b": "1.0", "B": "2", "a": "1.1", "A": "3", "T": T0, "E": T0}
    frame = json.dumps({"stream": "ethusdt@bookTicker", "data": quote}, separators=(",", ":"))
    path = put(tmp_path, "c", timed(frame, agg(1)))
    both = open_source([path], venue="binance-usdm")
    assert [i.symbol for i in both.instruments] == ["BTC-USDT-PERP", "ETH-USDT-PERP"]
    one = open_source([path], venue="binance-usdm", symbol="BTCUSDT")
    assert [i.symbol for i in one.instruments] == ["BTC-USDT-PERP"]


def matched(symbol: str) -> str:
    row = {"instId": symbol, "tradeId": "7", "px": "5.1", "sz": "3", "side": "buy", "ts": str(T0), "count": "1"}
    return json.dumps({"arg": {"channel": "trades", "instId": symbol}, "data": [row]})


def listed_by_okx(*frames: str) -> bytes:
    row = {"instType": "SWAP", "instId": "UNI-USD-SWAP", "ctVal": "10", "ctMult": "1", "ctType": "inverse", "ctValCcy": "USD"}
    row |= {"settleCcy": "UNI", "uly": "UNI-USD", "tickSz": "0.001", "lotSz": "1", "state": "live"}
    url = "https://www.okx.com/api/v5/public/instruments?instType=SWAP"
    lines: list[dict[str, Any]] = [
        *({"t": "recv", "conn": "ws.1", "ts": T0 / 1000 + k / 8, "data": f} for k, f in enumerate(frames)),
        {"t": "http", "ts": T0 / 1000, "url": url, "data": json.dumps({"code": "0", "data": [row], "msg": ""})},
    ]
    return "".join(json.dumps(line) + "\n" for line in [{"t": "header"}, *lines]).encode()


@pytest.mark.parametrize("symbol", [None, "UNI-USD-SWAP", "UNI-USD-PERP"])
def test_a_contract_is_worth_what_the_capture_says_wherever_it_says_so(tmp_path: Path, symbol: str | None) -> None:
    path = put(tmp_path, "c", listed_by_okx(matched("UNI-USD-SWAP")))
    source = open_source([path], venue="okx", symbol=symbol)
    assert [(i.symbol, i.contract, i.inverse) for i in source.instruments] == [("UNI-USD-PERP", "10", True)]
    assert trades(source) == [7]


def test_a_contract_of_unknown_worth_is_refused_with_a_remedy(tmp_path: Path) -> None:
    alone = put(tmp_path, "a", timed(matched("UNI-USD-SWAP")))
    with pytest.raises(
        SourceError, match="only okx's list of instruments tells, and the files do not; take a capture that holds"
    ):
        open_source([alone], venue="okx")
    with pytest.raises(ValueError, match="only okx's list of instruments tells"):
        open_source([alone], venue="okx", symbol="UNI-USD-SWAP")
    several = put(tmp_path, "b", timed(matched("UNI-USD-SWAP"), matched("BTC-USDT")))
    with pytest.raises(SourceError, match="leave it out: take another with --symbol"):
        open_source([several], venue="okx")
    assert trades(open_source([several], venue="okx", symbol="BTC-USDT")) == [7]


@pytest.mark.real
def test_the_recorded_capture_of_okx_tells_its_contracts(tmp_path: Path) -> None:
    capture = SHARED / "captures" / "OKX.jsonl.zst"
    found = {i.native: (i.symbol, i.contract) for i in open_source([capture], venue="okx").instruments}
    assert found == {
        "BTC-USD-220527": ("BTC-USD-220527", "100"),
        "UNI-USD-SWAP": ("UNI-USD-PERP", "10"),
        "BTC-USDT": ("BTC-USDT", ""),
    }
