"""Reading the lake: what is found, what is opened, and the same answer from every reader."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.account_tables import INSTRUMENTS
from pipelines.market import BARS, GAPS, TABLES, TRADES, VPIN
from pipelines.schema import Table
from pipelines.store.lake import Lake, LakeError
from tests.pipelines.store.samples import DAY, moment, put, rows

NEXT = DAY + dt.timedelta(days=1)


@pytest.fixture(params=["path", "url"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """Make a lake in a folder, and one by URL as on an object store."""
    lake = Lake(tmp_path / "lake" if request.param == "path" else (tmp_path / "lake").as_uri())
    lake.create()
    return lake


def delete(paths: list[str]) -> None:
    for path in paths:
        Path(path.removeprefix("file://")).unlink()


def test_only_files_that_may_match_are_opened(lake: Lake) -> None:
    for day in (DAY, NEXT):
        for venue, symbol in (("okx", "BTC-USDT"), ("okx", "ETH-USDT"), ("demo", "ADA-USDT")):
            put(lake, TRADES, rows(TRADES, day=day, venue=venue, symbol=symbol))
    wanted = lake.files("trades", symbol="ETH-USDT", start=NEXT)
    assert len(wanted) == 1
    assert "date=2024-07-20/venue=okx" in wanted[0]
    assert len(lake.files("trades")) == 6
    assert len(lake.files("trades", venue="demo")) == 2
    assert len(lake.files("trades", end=NEXT)) == 3
    assert lake.files("trades", end=DAY) == []
    assert len(lake.files("trades", start=moment(9 * 60), end=moment(9 * 60 + 1))) == 3, "the last row of each file"
    assert lake.files("trades", start=moment(9 * 60 + 1), end=NEXT) == []
    delete([path for path in lake.files("trades") if path not in wanted])
    assert lake.trades("ETH-USDT", start="2024-07-20", end="2024-07-20").collect().height == 10


def test_start_is_inclusive_and_end_exclusive(lake: Lake) -> None:
    put(lake, BARS, rows(BARS, 10))
    put(lake, BARS, rows(BARS, 10, day=NEXT))
    minutes = lake.bars("BTC-USDT", "1m", start=moment(120), end=moment(240)).collect()["ts"].to_list()
    assert minutes == [moment(120), moment(180)]
    assert lake.bars("BTC-USDT", start="2024-07-19", end="2024-07-20").collect().height == 10
    assert lake.bars("BTC-USDT", start="2024-07-20", end="2024-07-20").collect().height == 10
    assert lake.bars("BTC-USDT", start="2024-07-19").collect().height == 20
    assert lake.bars("BTC-USDT", "5m").collect().height == lake.bars("BTC-USDT", "run:tick:5").collect().height == 0
    with pytest.raises(LakeError, match=r"unknown bar '7m'; use 1s, 1m, .* tick:N, volume"):
        lake.bars("BTC-USDT", "7m")


def test_trades_come_in_tape_order_and_counted_unless_all_are_asked_for(lake: Lake) -> None:
    put(lake, TRADES, rows(TRADES, 3, day=NEXT, seq=[0, 1, 2]))
    put(lake, TRADES, rows(TRADES, 4, seq=[3, 1, 0, 2], counted=[True, True, False, True]))
    everything = lake.trades("BTCUSDT", all=True).collect()
    assert everything.select("date", "seq").rows() == [*((DAY, i) for i in range(4)), *((NEXT, i) for i in range(3))]
    assert lake.trades("BTCUSDT").collect()["seq"].to_list() == [1, 2, 3, 0, 1, 2]


def test_native_names_come_from_the_instruments_table(lake: Lake) -> None:
    put(lake, INSTRUMENTS, rows(INSTRUMENTS, 1, venue="kraken", symbol="BTC-USD", native="XXBTZUSD"))
    put(lake, TRADES, rows(TRADES, 3, venue="kraken", symbol="BTC-USD"))
    assert lake.trades("xxbtzusd").collect()["symbol"].to_list() == ["BTC-USD"] * 3
    with pytest.raises(LakeError, match=r"did you mean BTC-USD \(kraken\)"):
        lake.trades("BTC-USDT")


def test_a_symbol_in_the_middle_of_a_file_is_found(lake: Lake) -> None:
    put(lake, TRADES, rows(TRADES, 3, symbol=["ADA-USDT", "BTC-USDT", "ETH-USDT"]))
    assert lake.trades("BTC-USDT").collect().height == 1
    with pytest.raises(LakeError, match="unknown symbol 'BTC-USDC'; did you mean BTC-USDT"):
        lake.trades("BTC-USDC")


def test_a_symbol_in_the_middle_of_another_venues_file_makes_it_ambiguous(lake: Lake) -> None:
    put(lake, TRADES, rows(TRADES, 3, venue="demo"))
    put(lake, TRADES, rows(TRADES, 3, venue="okx", symbol=["ADA-USDT", "BTC-USDT", "ETH-USDT"]))
    with pytest.raises(LakeError, match="BTC-USDT on demo, BTC-USDT on okx: give venue"):
        lake.trades("BTC-USDT")
    assert lake.trades("BTC-USDT", "okx").collect().height == 1


def test_two_venues_are_never_mixed(lake: Lake) -> None:
    for venue in ("okx", "demo"):
        put(lake, TRADES, rows(TRADES, 3, venue=venue))
    with pytest.raises(LakeError, match="BTC-USDT on demo, BTC-USDT on okx: give venue"):
        lake.trades("BTC-USDT")
    assert lake.trades("BTC-USDT", "okx").collect()["venue"].unique().to_list() == ["okx"]
    assert lake.table("trades", venue="demo").collect().height == 3


def test_more_columns_can_be_asked_for_by_value(lake: Lake) -> None:
    put(lake, VPIN, rows(VPIN, 4, setting=["adv50x50", "v10x50"] * 2))
    assert lake.table("vpin", setting="v10x50").collect()["bucket"].to_list() == [1, 3]
    with pytest.raises(LakeError, match="table vpin has no column 'settings'; it has date, venue, symbol, setting"):
        lake.table("vpin", settings="v10x50")
    with pytest.raises(LakeError, match="table inputs has no column 'symbol'"):
        lake.table("inputs", symbol="BTC-USDT")
    with pytest.raises(LakeError, match="no table 'vpins'; there are trades"):
        lake.table("vpins")


def test_the_newest_version_of_a_row_is_seen_and_the_history_kept(lake: Lake) -> None:
    same: dict[str, Any] = {"ts": moment(5), "from_id": 7, "to_id": 9}
    put(lake, GAPS, rows(GAPS, 1, feed="trades", status="unfillable", as_of=moment(10), **same))
    put(lake, GAPS, rows(GAPS, 1, feed="trades", status="repaired", as_of=moment(20), **same))
    put(lake, GAPS, rows(GAPS, 1, feed="quotes", status="open", as_of=moment(15), **same))
    put(lake, GAPS, rows(GAPS, 2, feed="tie", status=["repaired", "open"], reason=["a", "b"], as_of=moment(15), **same))
    expected = [("quotes", "open"), ("tie", "repaired"), ("trades", "repaired")]
    assert lake.table("gaps").select("feed", "status").sort("feed").collect().rows() == expected
    assert lake.sql("SELECT feed, status FROM gaps ORDER BY feed").fetchall() == expected
    assert lake.table("gaps_history").collect().height == 5
    assert lake.sql("SELECT count(*) FROM gaps_history").fetchall() == [(5,)]
    assert lake.table("gaps", start=moment(6)).collect().height == 0


def test_every_table_can_be_asked_for_while_empty(lake: Lake) -> None:
    for name, table in TABLES.items():
        assert lake.table(name).collect().to_arrow().schema.names == table.lake_schema.names
        found = lake.sql(f"SELECT * FROM {name} UNION ALL SELECT * FROM {name}_history")
        assert found.columns == table.lake_schema.names
        assert found.fetchall() == []
    assert lake.trades("ANY-THING").collect().height == 0
    assert [s[1:] for s in lake.summary()] == [(0, 0, 0, None, None)] * len(TABLES)


def test_a_lake_that_is_older_than_a_table_shows_it_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    last = next(reversed(TABLES))  # put back, it stands where it stood
    with monkeypatch.context() as before:
        before.delitem(TABLES, last)
        Lake(tmp_path / "lake").create()
    lake = Lake(tmp_path / "lake")
    assert lake.table(last).collect().height == 0
    assert lake.sql(f"SELECT * FROM {last}").columns == TABLES[last].lake_schema.names
    assert lake.files(last) == []
    assert lake.summary()[-1].rows == 0
    assert not (tmp_path / "lake" / last).exists(), "reading creates nothing"


def test_reading_where_there_is_no_lake_says_so(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "nowhere")
    for ask in (lake.summary, lake.require, lambda: lake.trades("BTC-USDT"), lambda: lake.sql("SELECT * FROM bars")):
        with pytest.raises(LakeError, match=r"no lake at .*nowhere"):
            ask()
    assert not (tmp_path / "nowhere").exists()


def test_summary_counts_without_opening_a_file(lake: Lake) -> None:
    put(lake, TRADES, rows(TRADES, 10))
    put(lake, TRADES, rows(TRADES, 5, venue="okx", day=NEXT))
    size = sum(Path(path.removeprefix("file://")).stat().st_size for path in lake.files("trades"))
    delete(lake.files("trades"))
    assert lake.summary()[0] == ("trades", 15, 2, size, moment(0), moment(240, NEXT))


def test_sql_reads_anew_when_a_file_was_vacuumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create()
    put(lake, TRADES, rows(TRADES, 10))
    stale = iter([[str(tmp_path / "lake/trades/date=2024-07-19/venue=demo/gone.parquet")]])
    now = Lake.files
    monkeypatch.setattr(Lake, "files", lambda self, table, **asked: next(stale, None) or now(self, table, **asked))
    assert lake.sql("SELECT count(*) FROM trades").fetchall() == [(10,)]
    monkeypatch.setattr(Lake, "files", lambda *_: ["/nowhere.parquet"])
    with pytest.raises(duckdb.IOException):
        lake.sql("SELECT count(*) FROM trades")


def test_wrong_sql_is_refused_in_the_words_of_duckdb(lake: Lake) -> None:
    with pytest.raises(duckdb.ParserException, match="syntax error"):
        lake.sql("SELEC 1")
    with pytest.raises(duckdb.CatalogException, match="trade does not exist"):
        lake.sql("SELECT * FROM trade")


def test_an_asof_join_sees_only_what_was_complete(lake: Lake) -> None:
    bars = rows(BARS, 3, end=[moment(60), moment(120), moment(180)], close=[1.0, 2.0, 3.0])
    put(lake, BARS, pa.concat_tables([bars, rows(BARS, 1, venue="okx", end=moment(60), close=9.0)]))
    times = [moment(s) for s in (59.9, 60, 119, 120, 500)]
    put(lake, TRADES, rows(TRADES, 5, ts=times, end=times))
    joined = lake.asof(lake.trades("BTC-USDT", "demo"), lake.table("bars", bar="1m")).sort("seq").collect()
    assert joined["close"].to_list() == [None, 1.0, 1.0, 2.0, 3.0]
    assert joined["end_right"].to_list() == [None, moment(60), moment(60), moment(120), moment(180)]
    fresh = lake.asof(lake.trades("BTC-USDT", "demo"), lake.table("bars", bar="1m"), tolerance="1m").sort("seq").collect()
    assert fresh["close"].to_list() == [None, 1.0, 1.0, 2.0, None]


TIME_FUNCTIONS = """
    import sys
    from pipelines.market import TABLES
    from pipelines.store.lake import Lake

    lake = Lake(sys.argv[1])
    for name, table in TABLES.items():
        for view in (name, name + "_history"):
            answer = lake.sql(f'''
                SELECT date_trunc('day', ts), time_bucket(INTERVAL '5 minutes', ts), ts + INTERVAL '1 hour',
                    lag(ts) OVER (ORDER BY ts) IS NULL, now() > ts, "end" - ts >= INTERVAL '0 minutes',
                    CAST(ts AS DATE) = date, extract(hour FROM ts), ts >= '2024-07-19', strftime(ts, '%H:%M %Z')
                FROM {view} ORDER BY ts
            ''').fetchall()
            first = [str(value) for value in answer[0]]
            assert first == [
                "2024-07-19 00:00:00+00:00", "2024-07-19 00:00:00+00:00", "2024-07-19 01:00:00+00:00",
                "True", "True", "True", "True", "0", "True", "00:00 UTC",
            ], (view, first)
            assert [row[3] for row in answer] == [True, False, False], view
"""


def test_times_are_utc_in_sql_wherever_the_reader_is(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create()
    for table in TABLES.values():
        put(lake, table, rows(table, 3))
    abroad = {**os.environ, "TZ": "America/New_York"}
    script = [sys.executable, "-c", textwrap.dedent(TIME_FUNCTIONS), lake.root]
    result = subprocess.run(script, env=abroad, capture_output=True, text=True, timeout=500, check=False)
    assert result.returncode == 0, result.stderr


def values(field: pa.Field) -> st.SearchStrategy[Any]:
    if field.name == "venue":
        return st.sampled_from(["demo", "binance-usdm", "all"])
    if pa.types.is_timestamp(field.type):
        return st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001
    if pa.types.is_date(field.type):
        return st.dates(dt.date(1971, 1, 1), dt.date(2200, 1, 1))
    if pa.types.is_boolean(field.type):
        return st.booleans()
    if pa.types.is_floating(field.type):
        return st.none() | st.floats(allow_nan=False, allow_infinity=False)
    if pa.types.is_integer(field.type):
        top = 2 ** (field.type.bit_width - 1)
        return st.integers(-top, top - 1)
    if pa.types.is_list(field.type):
        if pa.types.is_floating(field.type.value_type):
            return st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=2)
        return st.lists(st.sampled_from(["late", "repaired"]), max_size=2)
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_written_is_read_by_polars_and_duckdb(tmp_path: Path, table: Table, data: st.DataObject) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create()
    row = st.fixed_dictionaries({f.name: values(f) for f in table.lake_schema})
    part = pa.Table.from_pylist(data.draw(st.lists(row, min_size=1, max_size=6)), schema=table.lake_schema)
    before = lake.table(table.name + "_history").collect()
    put(lake, table, part)
    expected = pl.concat([before, pl.DataFrame(part)]).sort(pl.all())
    assert lake.table(table.name + "_history").collect().sort(pl.all()).equals(expected)
    assert lake.sql(f"SELECT * FROM {table.name}_history").pl().sort(pl.all()).equals(expected)
