"""SQL of a stranger: what the parser lets pass, what the locked engine does, and what the process around both allows."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.briefs import sandbox
from pipelines.briefs.allowed import Refused, checked
from pipelines.briefs.sandbox import LIMITS, Limits, lock, run
from pipelines.market import BARS, TRADES
from pipelines.store.lake import Lake
from tests.pipelines.store.samples import put, rows

PATIENT = LIMITS._replace(seconds=300)
"""For what is to come: a busy machine takes its time to start a process."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("sandbox") / "lake")
    lake.create()
    put(lake, TRADES, rows(TRADES, 4))
    put(lake, BARS, rows(BARS, 4))
    return lake


@pytest.fixture
def outside(lake: Lake) -> Path:
    """A file beside the lake that nothing may read."""
    path = Path(lake.root).parent / "secret.parquet"
    pl.DataFrame({"secret": [42]}).write_parquet(path)
    return path


READS = (
    "SELECT count(*) AS n FROM trades",
    "FROM trades",
    "TABLE bars",
    "SELECT symbol, max_by(price, seq) FROM trades WHERE ts >= '2024-07-19' GROUP BY ALL HAVING count(*) > 1 ORDER BY 1 LIMIT 3",
    "WITH t AS (FROM trades), b AS MATERIALIZED (FROM bars) SELECT t.price, b.close FROM t ASOF JOIN b USING (ts)",
    "SELECT avg(price) OVER w, lag(price) OVER (ORDER BY ts) FROM trades WINDOW w AS (ORDER BY ts ROWS 3 PRECEDING)",
    "SELECT time_bucket(INTERVAL 1 hour, ts) AS hour, quantile_cont(close, 0.5), stddev(close) FROM bars GROUP BY hour",
    "SELECT price FROM trades UNION ALL SELECT close FROM bars",
    "SELECT * FROM generate_series(1, 5) AS g(n), (VALUES (1), (2)) AS v(k)",
    "WITH RECURSIVE a AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM a WHERE i < 5) SELECT * FROM a",
    "SELECT DISTINCT ON (symbol) symbol, CASE WHEN price > 1 THEN 'a' END, price::INTEGER, [x + 1 FOR x IN [1]] FROM trades",
    "SELECT *, row_number() OVER (ORDER BY ts) AS k FROM trades_history QUALIFY k = 1",
    "SELECT (SELECT max(close) FROM bars), EXISTS (FROM trades), price IN (SELECT close FROM bars) FROM trades",
    "SELECT date_diff('minute', ts, \"end\"), strftime(ts, '%H:%M'), ts + INTERVAL '1 hour', ts AT TIME ZONE 'UTC' FROM bars",
)


@pytest.mark.parametrize("query", READS)
def test_what_reads_the_lake_passes_and_runs(lake: Lake, query: str) -> None:
    checked(query)
    connection = _locked(lake, query)
    connection.execute(query).fetchall()


REFUSED = {
    "write": "INSERT INTO trades SELECT * FROM trades",
    "update": "UPDATE trades SET price = 1",
    "delete": "DELETE FROM trades",
    "truncate": "TRUNCATE trades",
    "merge": "MERGE INTO trades USING bars ON true WHEN MATCHED THEN DELETE",
    "create": "CREATE TABLE t (a INTEGER)",
    "create as": "CREATE TEMP TABLE t AS SELECT 1",
    "macro": "CREATE MACRO f(x) AS TABLE FROM read_text(x)",
    "view over ..": "CREATE VIEW v AS FROM '../secret.parquet'",
    "drop": "DROP VIEW trades",
    "alter": "ALTER VIEW trades RENAME TO t",
    "write in a part": "WITH t AS (INSERT INTO trades VALUES (1) RETURNING *) FROM t",
    "delete in a part": "WITH t AS (DELETE FROM trades RETURNING *) FROM t",
    "attach": "ATTACH '{out}' AS other",
    "attach sqlite": "ATTACH '{out}' (TYPE sqlite)",
    "detach": "DETACH memory",
    "use": "USE memory",
    "copy to": "COPY (SELECT 1) TO '{out}.csv'",
    "copy over a file of the lake": "COPY (SELECT 1) TO '{in}'",
    "copy from": "COPY trades FROM '{out}'",
    "copy database": "COPY FROM DATABASE memory TO memory",
    "export": "EXPORT DATABASE '{out}.d'",
    "import": "IMPORT DATABASE '{out}.d'",
    "file by name": "SELECT * FROM '{out}'",
    "file of the lake by name": "SELECT * FROM '{in}'",
    "file by way of ..": "SELECT * FROM '{lake}/../secret.parquet'",
    "file in quotes": 'SELECT * FROM "{out}"',
    "read_parquet": "SELECT * FROM read_parquet('{out}')",
    "read_parquet of many": "SELECT * FROM read_parquet(['{in}', '{out}'])",
    "parquet_scan": "SELECT * FROM parquet_scan('{out}')",
    "parquet_metadata": "SELECT * FROM parquet_metadata('{out}')",
    "parquet_schema": "SELECT * FROM parquet_schema('{in}')",
    "read_csv": "SELECT * FROM read_csv('/etc/passwd')",
    "read_csv_auto": "SELECT * FROM read_csv_auto('/etc/passwd')",
    "sniff_csv": "SELECT * FROM sniff_csv('/etc/passwd')",
    "read_text": "SELECT * FROM read_text('/etc/passwd')",
    "read_blob": "SELECT * FROM read_blob('/proc/self/environ')",
    "read_json": "SELECT * FROM read_json('{out}')",
    "read_duckdb": "SELECT * FROM read_duckdb('{out}')",
    "glob": "SELECT * FROM glob('/etc/*')",
    "glob of the lake": "SELECT * FROM glob('{lake}/*')",
    "https": "SELECT * FROM 'https://example.com/x.parquet'",
    "s3": "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "query": "SELECT * FROM query('SELECT 1')",
    "query_table": "SELECT * FROM query_table('trades')",
    "arrow_scan": "SELECT * FROM arrow_scan(1, 2, 3)",
    "python": "SELECT * FROM python_map_function(1)",
    "a variable of Python": "SELECT * FROM LIMITS",
    "seq_scan": "SELECT * FROM seq_scan('trades')",
    "json_execute": "SELECT * FROM json_execute_serialized_sql('{{}}')",
    "checkpoint": "SELECT * FROM checkpoint()",
    "logging": "SELECT * FROM enable_logging('QueryLog')",
    "profiling": "SELECT * FROM enable_profiling()",
    "secrets": "SELECT * FROM duckdb_secrets()",
    "which_secret": "SELECT * FROM which_secret('s3://a', 's3')",
    "settings": "SELECT * FROM duckdb_settings()",
    "views, whose text names paths": "SELECT sql FROM duckdb_views()",
    "views, as a table": "SELECT * FROM duckdb_views",
    "information_schema": "SELECT * FROM information_schema.tables",
    "catalog": "SELECT * FROM pg_catalog.pg_class",
    "sqlite_master": "SELECT * FROM sqlite_master",
    "system table": "SELECT * FROM memory.main.trades",
    "extensions": "SELECT * FROM duckdb_extensions()",
    "pragma function": "SELECT * FROM pragma_database_size()",
    "install": "INSTALL httpfs",
    "install from": "FORCE INSTALL httpfs FROM 'http://example.com'",
    "load": "LOAD httpfs",
    "load a file": "LOAD '{out}'",
    "set": "SET memory_limit = '64GB'",
    "set access": "SET enable_external_access = true",
    "reset": "RESET lock_configuration",
    "set variable": "SET VARIABLE x = 1",
    "pragma": "PRAGMA database_list",
    "pragma setting": "PRAGMA threads = 64",
    "secret": "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "call": "CALL pragma_version()",
    "prepare": "PREPARE p AS SELECT 1",
    "execute": "EXECUTE p",
    "vacuum": "VACUUM",
    "explain": "EXPLAIN ANALYZE SELECT 1",
    "describe": "DESCRIBE trades",
    "show": "SHOW TABLES",
    "summarize": "SUMMARIZE trades",
    "begin": "BEGIN TRANSACTION",
    "two statements": "SELECT 1; SELECT 2",
    "two statements, one bad": "SELECT 1; COPY (SELECT 1) TO '{out}.csv'",
    "hidden behind a comment": "SELECT 1 /* ; */ ; -- \n DROP VIEW trades",
    "getenv": "SELECT getenv('HOME')",
    "current_setting": "SELECT current_setting('allowed_paths')",
    "getvariable": "SELECT getvariable('x')",
    "write_log": "SELECT write_log('x')",
    "sleep": "SELECT sleep_ms(60000)",
    "pg_sleep": "SELECT pg_sleep(60)",
    "nextval": "SELECT nextval('s')",
    "random": "SELECT random()",
    "uuid": "SELECT uuid()",
    "now": "SELECT * FROM trades WHERE ts > now() - INTERVAL 1 hour",
    "current_date": "SELECT current_date",
    "ago": "SELECT ago(INTERVAL 1 hour)",
    "a function of elsewhere": "SELECT main.abs(-1)",
    "a parameter": "SELECT $1",
    "sample": "SELECT * FROM trades TABLESAMPLE 10%",
    "sample of all": "SELECT * FROM trades USING SAMPLE 3",
    "nul": "SELECT 1\0; DROP VIEW trades",
    "pivot": "PIVOT trades ON symbol USING count(*)",
    "a table that is none": "SELECT * FROM orders",
    "at a version": "SELECT * FROM trades AT (VERSION => 1)",
    "no SQL": "drop it like it's hot",
    "empty": "",
    "too long": "SELECT 1" + " " * 10_000,
    "deep": "SELECT " + "(" * 4_000 + "1" + ")" * 4_000,
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_does_anything_else_is_refused(lake: Lake, outside: Path, kind: str) -> None:
    with pytest.raises(Refused) as refused:
        checked(_filled(REFUSED[kind], lake, outside))
    assert str(refused.value)
    assert "Traceback" not in str(refused.value)


PIECES = (
    *("SELECT", "*", "FROM", "trades", "bars", "(", ")", ",", "'/etc/passwd'", "WITH t AS (", "UNION ALL", ";", "COPY", "TO"),
    *("read_text('x')", "query('SELECT 1')", "price", "1", "AS", "VALUES", "INSERT INTO", "t", "RETURNING", "WHERE", "--", "/*"),
    *("'", '"', "SET", "PRAGMA", "CALL", "unnest([1])", "getenv('HOME')", "LATERAL", "AT (VERSION => 1)", "$1", "\0", "\u202e"),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join) | st.text(max_size=80))
def test_any_text_is_passed_or_refused_and_what_passes_is_one_select(text: str) -> None:
    try:
        checked(text)
    except Refused:
        return
    (statement,) = duckdb.extract_statements(text)
    assert statement.type == duckdb.StatementType.SELECT


REACHES_OUT = (
    *("attach", "copy to", "copy over a file of the lake", "copy from", "export", "import", "file by name"),
    *("file by way of ..", "file in quotes", "read_parquet", "read_parquet of many", "parquet_scan", "parquet_metadata"),
    *("read_csv", "read_csv_auto", "sniff_csv", "read_text", "read_blob", "read_json", "glob", "glob of the lake", "https", "s3"),
    *("secrets", "install", "install from", "load", "load a file", "set", "set access", "reset", "pragma setting", "secret"),
    *("view over ..", "macro", "write", "update", "delete", "getenv", "a variable of Python"),
)


@pytest.mark.parametrize("kind", REACHES_OUT)
def test_the_engine_itself_is_locked_should_the_parser_be_deceived(lake: Lake, outside: Path, kind: str) -> None:
    query = _filled(REFUSED[kind], lake, outside)
    before = sorted(outside.parent.rglob("*"))
    connection = _locked(lake, "trades bars")
    with pytest.raises(duckdb.Error):
        connection.execute(query).fetchall()
        connection.execute("SELECT * FROM v").fetchall()  # of a view: nothing is read before it is
        connection.execute("SELECT * FROM f('/etc/passwd')").fetchall()
    assert sorted(outside.parent.rglob("*")) == before


def test_a_link_in_the_lake_is_not_followed(lake: Lake, outside: Path) -> None:
    link = Path(lake.root) / "trades" / "link.parquet"
    link.symlink_to(outside)
    try:
        assert _locked(lake, "trades").execute("SELECT count(*) FROM trades").fetchone() == (4,)
        with pytest.raises(duckdb.PermissionException):
            _locked(lake, "trades").execute(f"SELECT * FROM '{link}'")
    finally:
        link.unlink()


def test_a_log_that_names_a_file_elsewhere_is_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.create()
    put(lake, TRADES, rows(TRADES, 4))
    (file,) = lake.files("trades")
    shutil.move(file, tmp_path / "elsewhere.parquet")
    Path(file).symlink_to(tmp_path / "elsewhere.parquet")
    with pytest.raises(Refused, match="outside the lake"):
        sandbox.allowed_files(lake, "SELECT * FROM trades")


def test_rows_come_out_of_the_process(lake: Lake) -> None:
    found = run(lake, "SELECT trade_id, price, ts FROM trades ORDER BY seq", PATIENT)
    assert found.frame.height == 4
    assert found.frame.schema["ts"] == pl.Datetime("us", "UTC")
    assert not found.is_cut
    cut = run(lake, "SELECT trade_id FROM trades ORDER BY seq", PATIENT._replace(rows=3))
    assert cut.is_cut
    assert cut.frame["trade_id"].to_list() == found.frame["trade_id"].to_list()[:3]


def test_a_wrong_query_is_told_in_one_line_without_a_path(lake: Lake) -> None:
    with pytest.raises(Refused) as refused:
        run(lake, "SELECT prize FROM trades", PATIENT)
    assert "prize" in str(refused.value)
    assert lake.root not in str(refused.value)
    assert "\n" not in str(refused.value)


BOMBS = {
    "endless recursion": "WITH RECURSIVE a AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM a) SELECT count(*) FROM a",
    "series": "SELECT sum(a.i * b.i) FROM generate_series(1, 10000000) a(i), generate_series(1, 10000000) b(i)",
    "cross joins": "SELECT count(*) FROM trades a, trades b, trades c, trades d, generate_series(1, 100000000) e",
    "wide regex": "SELECT count(*) FROM range(2000) r(i) WHERE regexp_matches(repeat(i::VARCHAR, 20000), '(.{1,300}){1,3}x')",
    "large text": "SELECT repeat('x', 2000000000)",
    "large list": "SELECT list_sum(range(0, 2000000000))",
    "sort that would spill": "SELECT max(k) FROM (SELECT row_number() OVER (ORDER BY hash(i)) k FROM range(200000000) r(i))",
    "wide result": "SELECT repeat('x', 1000000) FROM trades",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_query_that_never_ends_or_needs_too_much_is_ended(lake: Lake, kind: str) -> None:
    began = time.monotonic()
    with pytest.raises(Refused, match=r"ended|needed|larger|memory"):
        run(lake, BOMBS[kind], Limits(seconds=1, memory_mb=200))
    assert time.monotonic() - began < 300


def test_the_process_can_write_into_no_file(tmp_path: Path) -> None:
    code = (
        "from pipelines.briefs.sandbox import bound, LIMITS\n"
        "import pathlib, sys\n"
        "bound(LIMITS)\n"
        "try:\n    pathlib.Path(sys.argv[1]).write_text('x')\nexcept OSError as error:\n    print(error.strerror)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path / "x")], capture_output=True, text=True, check=True, timeout=500
    )
    assert done.stdout.strip() == "File too large"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0  # of this process nothing was changed


def test_the_process_is_given_no_secret(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    seen: dict[str, str] = {}
    real = subprocess.run

    def spy(*args: object, **kwargs: object) -> object:
        seen.update(kwargs["env"])  # type: ignore[call-overload]
        return real(*args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr("subprocess.run", spy)
    run(lake, "SELECT 1", PATIENT)
    assert seen == {}


def _locked(lake: Lake, query: str) -> duckdb.DuckDBPyConnection:
    connection = lake.connect(query)
    lock(connection, sandbox.allowed_files(lake, query), LIMITS)
    return connection


def _filled(query: str, lake: Lake, outside: Path) -> str:
    for name, value in (("out", outside), ("in", lake.files("trades")[0]), ("lake", lake.root)):
        query = query.replace(f"{{{name}}}", str(value))
    return query


def test_a_lake_in_an_object_store_is_read_through_its_client(lake: Lake) -> None:
    far = Lake(f"file://{lake.root}")  # as far as the code can tell, not on a volume of ours
    assert run(far, "SELECT count(*) AS n FROM trades", PATIENT).frame["n"].to_list() == [4]
    with pytest.raises(Refused, match=r"only a SELECT"):
        run(far, f"COPY (SELECT 1) TO '{lake.root}/x.csv'")
    connection = _locked(far, "trades")
    with pytest.raises(duckdb.PermissionException):
        connection.execute(f"SELECT * FROM '{lake.files('trades')[0]}'")
