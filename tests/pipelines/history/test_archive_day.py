"""A day from a venue's archive: its trades alone, in order, once; damaged or foreign files refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.history import csv_file, spill
from pipelines.history.archive_day import ArchiveDay, Hole, archive_day, span
from pipelines.history.day import Day
from pipelines.market import Flag
from pipelines.sources import SourceError, open_source
from pipelines.tape import TRADE, VOID, Rows, joined
from pipelines.venues import venue
from pipelines.venues.columns import Tape
from tests.archive import days
from tests.archive.days import DATE, Made

NEXT, BEFORE = DATE + dt.timedelta(1), DATE - dt.timedelta(1)


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    csv = name.rpartition(".")[0] + ".csv"
    path.write_bytes(days.zipped(csv, content) if name.endswith(".zip") else days.gzipped(content))
    return path


def of(files: Sequence[Path], name: str = "binance-usdm", symbol: str = "BTCUSDT", tape: Tape = "agg") -> ArchiveDay:
    return archive_day([files], Day(DATE, name), [venue(name).guess(symbol)], tape)


def rows(day: ArchiveDay) -> Rows:
    return joined(list(day.pieces()))


def check(found: Rows, trades: Sequence[Made]) -> None:
    """The rows are these trades, and nothing else."""
    assert found["ts"].tolist() == [t.us for t in trades]
    assert found["price"].tolist() == [float(t.price) for t in trades]
    assert found["size"].tolist() == [float(t.size) for t in trades]
    assert (found["side"] < 0).tolist() == [t.sell for t in trades]
    assert found["counted"].all()
    assert (found["kind"] == TRADE).all()


@pytest.mark.parametrize("header", [b"", days.USDM_HEADER], ids=["bare", "header"])
@pytest.mark.parametrize("unit", [1000, 1], ids=["ms", "us"])
@pytest.mark.parametrize("best", [False, True], ids=["futures", "spot"])
def test_a_day_of_aggregates(tmp_path: Path, header: bytes, unit: int, best: bool) -> None:
    trades = days.day()
    header = header.replace(b"is_buyer_maker", b"is_buyer_maker,is_best_match") if best else header
    path = put(tmp_path, f"BTCUSDT-aggTrades-{DATE}.zip", days.agg(trades, header=header, unit=unit, best=best))
    day = of([path])
    found = rows(day)
    check(found, trades)
    assert found["trade_id"].tolist() == [t.id for t in trades]
    assert found["fills"].tolist() == [2] * len(trades)
    assert found["first_fill"].tolist() == [t.first for t in trades]
    assert (found["flags"] == 0).all()
    assert (day.holes, day.refused, day.faults, day.duplicates, day.source) == ([], [], 0, 0, path.name)


def test_it_equals_what_a_load_of_the_same_file_reads(tmp_path: Path) -> None:
    path = put(tmp_path, f"BTCUSDT-trades-{DATE}.zip", days.fills(days.day()))
    source = open_source([path], venue="binance-usdm")
    loaded = joined([piece.rows.rows for piece in source.pieces() if piece.rows is not None])
    ours = rows(of([path], tape="fill"))
    for name in ours.dtype.names or ():
        np.testing.assert_array_equal(ours[name], loaded[name], err_msg=name)


def test_only_the_date_is_taken_of_a_month(tmp_path: Path) -> None:
    trades = [days.day(date) for date in (BEFORE, DATE, NEXT)]
    path = put(tmp_path, f"BTCUSDT-aggTrades-{DATE:%Y-%m}.zip", days.agg([t for some in trades for t in some]))
    day = of([path])
    check(rows(day), trades[1])
    assert day.holes == []


def test_a_month_of_two_ranges_interleaved(tmp_path: Path) -> None:
    trades = days.day()
    mixed = [t for pair in zip(trades[:250], trades[250:], strict=True) for t in pair]
    path = put(tmp_path, f"BTCUSDT-aggTrades-{DATE:%Y-%m}.zip", days.agg(mixed))
    check(rows(of([path])), trades)


def test_a_trade_in_two_files_is_taken_once(tmp_path: Path) -> None:
    trades = days.day()
    one = put(tmp_path, f"BTCUSDT-aggTrades-{DATE}.zip", days.agg(trades[:300]))
    other = put(tmp_path, f"BTCUSDT-aggTrades-{DATE:%Y-%m}.zip", days.agg(trades[299:]))
    day = of([one, other])
    check(rows(day), trades)
    assert day.duplicates == 1


def test_a_readable_line_goes_before_a_damaged_one_of_the_same_id(tmp_path: Path) -> None:
    trades = days.day(n=20)
    damaged = trades[7]._replace(price="0")
    one = put(tmp_path, f"BTCUSDT-aggTrades-{DATE}.zip", days.agg([*trades[:7], damaged, *trades[8:]]))
    other = put(tmp_path, f"BTCUSDT-aggTrades-{DATE:%Y-%m}.zip", days.agg(trades))
    day = of([one, other])
    check(rows(day), trades)
    assert day.faults == 1


def test_holes_are_told_and_the_trade_after_one_is_flagged(tmp_path: Path) -> None:
    trades = days.day(n=20)
    left = [*trades[:5], *trades[8:]]
    path = put(tmp_path, f"BTCUSDT-aggTrades-{DATE}.zip", days.agg(left))
    day = of([path])
    found = rows(day)
    assert day.holes == [Hole(0, trades[5].id, trades[7].id, trades[4].us, trades[8].us)]
    assert np.flatnonzero(found["flags"] == Flag.AFTER_GAP).tolist() == [5]


def test_a_hole_at_the_edge_is_seen_where_the_file_goes_on(tmp_path: Path) -> None:
    before, trades = days.day(BEFORE, 20), days.day(n=20)
    path = put(tmp_path, f"BTCUSDT-aggTrades-{DATE:%Y-%m}.zip", days.agg([*before, *trades[1:]]))
    day = of([path])
    found = rows(day)
    assert day.holes == [Hole(0, trades[0].id, trades[0].id, before[-1].us, trades[1].us)]
    assert found["flags"][0] == Flag.AFTER_GAP


def test_a_trade_of_the_day_before_among_those_of_the_date_is_no_hole(tmp_path: Path) -> None:
    trades = days.day(n=20)
    odd = trades[1]._replace(us=trades[0].us - 1000)
    path = put(tmp_path, f"BTCUSDT-aggTrades-{DATE}.zip", days.agg([trades[0], odd, *trades[2:]]))
    day = of([path])
    check(rows(day), [trades[0], *trades[2:]])
    assert day.holes == []


def test_a_refused_line_leaves_a_void_and_is_told(tmp_path: Path) -> None:
    trades = days.day(n=20)
    lines = days.agg(trades).splitlines(keepends=True)
    lines[4] = b"garbage\n"
    lines[6] = lines[6].replace(f",{trades[5].size},".encode(), b",0.000,")
    path = put(tmp_path, f"BTCUSDT-aggTrades-{DATE}.zip", b"".join(lines))
    day = of([path])
    found = rows(day)
    assert (found["kind"] == VOID).sum() == 1
    assert found["trade_id"].tolist() == [t.id for t in trades if t is not trades[3]]
    assert [(r.path, r.fault.frame, r.text) for r in day.refused] == [(path, 5, b"garbage"), (path, 7, lines[6].rstrip())]
    assert "size was not above zero" in day.refused[1].fault.reason
    assert day.faults == 2
    assert not found["counted"][found["kind"] == VOID].any()


def test_refused_lines_of_other_days_are_not_told(tmp_path: Path) -> None:
    content = days.agg([*days.day(BEFORE, 20), *days.day(n=20), *days.day(NEXT, 20)]).splitlines(keepends=True)
    content[3], content[30], content[55] = b"early\n", b"mine\n", b"late\n"
    day = of([put(tmp_path, f"BTCUSDT-aggTrades-{DATE:%Y-%m}.zip", b"".join(content))])
    rows(day)
    assert [r.text for r in day.refused] == [b"mine"]


def test_two_days_of_hong_kong_hold_a_date(tmp_path: Path) -> None:
    trades = [*days.day(BEFORE), *days.day(), *days.day(NEXT)]
    edge = 16 * 3600 * 10**6
    files = [
        put(
            tmp_path,
            f"BTC-USDT-trades-{date}.zip",
            days.okx([t for t in trades if days.start(date) - 28_800_000_000 <= t.us < days.start(date) + edge]),
        )
        for date in (DATE, NEXT)
    ]
    day = of(files, "okx", "BTC-USDT", "fill")
    check(rows(day), days.day())
    assert day.holes == []


def test_sizes_in_contracts_become_base(tmp_path: Path) -> None:
    trades = [t._replace(size=str(k + 1)) for k, t in enumerate(days.day(n=20))]
    path = put(tmp_path, f"BTC-USDT-SWAP-trades-{DATE}.zip", days.okx(trades, "BTC-USDT-SWAP"))
    found = rows(of([path], "okx", "BTC-USDT-PERP", "fill"))
    assert found["contracts"].tolist() == list(range(1, 21))
    assert found["size"].tolist() == [(k + 1) / 100 for k in range(20)]


@pytest.mark.parametrize("backward", [False, True], ids=["oldest first", "newest first"])
@pytest.mark.parametrize("rpi", [False, True])
def test_bybits_files_in_either_order(tmp_path: Path, backward: bool, rpi: bool) -> None:
    trades = days.day()
    trades[10:13] = [t._replace(us=trades[10].us) for t in trades[10:13]]
    path = put(tmp_path, f"BTCUSDT{DATE}.csv.gz", days.bybit(trades, backward=backward, rpi=rpi))
    day = of([path], "bybit-linear", tape="fill")
    found = rows(day)
    check(found, trades)
    assert found["trade_id"].tolist() == [t.uuid.int >> 65 for t in trades]


def test_bybits_spot_is_numbered(tmp_path: Path) -> None:
    trades = days.day()
    path = put(tmp_path, f"BTCUSDT_{DATE}.csv.gz", days.bybit_spot(trades))
    found = rows(of([path], "bybit-spot", tape="fill"))
    check(found, trades)
    assert np.unique(found["trade_id"]).size == len(trades)


def test_tardis_files_may_hold_other_symbols(tmp_path: Path) -> None:
    trades = days.day()
    content = days.tardis(trades) + days.tardis(days.day(seed=1), symbol="ETHUSDT", header=False)
    path = put(tmp_path, "binance-futures_trades.csv.gz", content)
    found = rows(of([path], tape="fill"))
    check(found, trades)
    assert found["recv_ns"].tolist() == [(t.us + 7000) * 1000 for t in trades]


REFUSED = {
    "is damaged or cut short": (f"BTCUSDT-aggTrades-{DATE}.zip", "cut"),
    "damaged or cut": (f"BTCUSDT{DATE}.csv.gz", "cut"),
    "is an archive of ETHUSDT by its name": (f"ETHUSDT-aggTrades-{DATE}.zip", ""),
    "holds single fills": (f"BTCUSDT-trades-{DATE}.zip", "fills"),
    "is no archive of trades of binance-usdm": (f"BTCUSDT-aggTrades-{DATE}.zip", "html"),
    "holds trades of 'deribit'": ("x.csv.gz", "deribit"),
    "is empty": (f"BTCUSDT-aggTrades-{DATE}.zip", "empty"),
    "holds lines without an end": (f"BTCUSDT-aggTrades-{DATE}.zip", "endless"),
}


@pytest.mark.parametrize("says", REFUSED)
def test_what_is_no_such_archive_is_refused(tmp_path: Path, says: str) -> None:
    name, how = REFUSED[says]
    made = {
        "fills": days.fills(days.day()),
        "html": b"<html>\n",
        "empty": b"",
        "deribit": days.tardis(days.day(), "deribit"),
        "endless": days.agg(days.day()) + b"1" * 70_000,
    }
    path = put(tmp_path, name, made.get(how, days.agg(days.day(n=20_000 if how == "cut" else 20))))
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(SourceError, match=says):
        rows(of([path]))


def test_another_symbol_in_the_lines_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, f"BTCUSDT{DATE}.csv.gz", days.bybit(days.day(), "ETHUSDT"))
    with pytest.raises(SourceError, match="holds 500 trades of others than BTCUSDT"):
        rows(of([path], "bybit-linear", tape="fill"))
    path = put(tmp_path, "x.csv.gz", days.tardis(days.day(), symbol="ETHUSDT"))
    with pytest.raises(SourceError, match="holds 500 trades of others than BTCUSDT"):
        rows(of([path], tape="fill"))


def test_another_symbol_in_the_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"BTCUSDT-aggTrades-{DATE}.zip"
    path.write_bytes(days.zipped(f"ETHUSDT-aggTrades-{DATE}.csv", days.agg(days.day())))
    with pytest.raises(SourceError, match="is an archive of ETHUSDT by its name"):
        of([path])


def test_a_day_without_trades(tmp_path: Path) -> None:
    assert list(of([put(tmp_path, f"BTCUSDT-aggTrades-{DATE}.zip", days.USDM_HEADER)]).pieces()) == []


def test_several_instruments_come_by_time(tmp_path: Path) -> None:
    both = [days.day(seed=k) for k in range(2)]
    names = ["BTCUSDT", "ETHUSDT"]
    files = [[put(tmp_path, f"{n}-aggTrades-{DATE}.zip", days.agg(t))] for n, t in zip(names, both, strict=True)]
    instruments = [venue("binance-usdm").guess(n) for n in names]
    found = joined(list(archive_day(files, Day(DATE, "binance-usdm"), instruments, "agg").pieces()))
    assert (np.diff(found["ts"]) >= 0).all()
    for k in range(2):
        check(found[found["instrument"] == k], both[k])


def test_the_digest_is_of_contents_instruments_and_date(tmp_path: Path) -> None:
    path = put(tmp_path, f"BTCUSDT-aggTrades-{DATE}.zip", days.agg(days.day()))
    first = of([path]).digest
    assert of([path]).digest == first
    moved = put(tmp_path, "BTCUSDT-aggTrades-again.zip", b"")
    moved.write_bytes(path.read_bytes())
    assert of([moved]).digest == first
    other = archive_day([[path]], Day(NEXT, "binance-usdm"), [venue("binance-usdm").guess("BTCUSDT")], "agg").digest
    put(tmp_path, path.name, days.agg(days.day(seed=5)))
    assert len({first, other, of([path]).digest}) == 3


def test_the_span_of_a_file(tmp_path: Path) -> None:
    path = put(tmp_path, f"BTCUSDT-aggTrades-{DATE}.zip", days.agg(days.day()))
    assert span(path, "binance-usdm", "BTCUSDT") == (days.start(DATE), days.start(DATE) + 86_399_999_000)
    assert span(put(tmp_path, path.name, days.USDM_HEADER), "binance-usdm", "BTCUSDT") is None


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_it_is_the_same_wherever_it_is_cut(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Blocks of the file, pieces of the tape, the order of the lines and how they are shared out make no difference."""
    folder = tmp_path_factory.mktemp("cut")
    n = data.draw(st.integers(1, 60))
    trades = [[t._replace(us=t.us // 10**8 * 10**8) for t in days.day(n=n, seed=k)] for k in range(2)]
    names = ["BTCUSDT", "ETHUSDT"]
    files = []
    for name, some in zip(names, trades, strict=True):
        lines = data.draw(st.permutations(some)) if data.draw(st.booleans()) else some
        cut = data.draw(st.integers(0, n))
        parts = [lines[:cut], lines[max(0, cut - 2) :]]
        files.append([put(folder, f"{name}-aggTrades-{k}.zip", days.agg(part)) for k, part in enumerate(parts)])
    instruments = [venue("binance-usdm").guess(name) for name in names]
    day = archive_day(files, Day(DATE, "binance-usdm"), instruments, "agg")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "BLOCK", data.draw(st.integers(60, 4000)))
        patch.setattr(spill, "PIECE", data.draw(st.integers(1, 70)))
        patch.setattr("pipelines.history.archive_day.ROOM", data.draw(st.integers(0, 150)))
        found = joined(list(day.pieces()))
    key = [(max(t.us for t in some[: k + 1]), number) for number, some in enumerate(trades) for k in range(n)]
    flat = [(number, t) for number, some in enumerate(trades) for t in some]
    wanted = [flat[k] for k in sorted(range(2 * n), key=lambda k: (*key[k], k))]
    assert found["instrument"].tolist() == [number for number, _ in wanted]
    assert found["trade_id"].tolist() == [t.id for _, t in wanted]
    assert day.holes == []
