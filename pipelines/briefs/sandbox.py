"""SQL of a stranger over the lake: in a process of its own that can write nothing, read the lake's files alone, and is ended."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final, NamedTuple

import duckdb
import polars as pl
import pyarrow as pa

from pipelines.briefs.allowed import Refused, checked
from pipelines.store import LakeError
from pipelines.store.lake import Lake

START_S: Final = 20.0
"""For a process to start, on a busy machine."""
GRACE_S: Final = 2.0
"""For the engine to heed an interrupt, which it does between blocks of rows; then the process ends."""
CREDENTIALS: Final = ("AWS_", "HOME", "SSL_CERT_")
"""Variables that a lake in an object store is read with; of a lake in a folder none is handed on."""


class Limits(NamedTuple):
    """What one query may take."""

    seconds: float = 10.0
    rows: int = 200
    memory_mb: int = 512
    result_bytes: int = 200_000


class Rows(NamedTuple):
    """The rows of a query, and whether there were more than are given."""

    frame: pl.DataFrame
    is_cut: bool


LIMITS: Final = Limits()


def run(lake: Lake, query: str, limits: Limits = LIMITS) -> Rows:
    """Run one query over the lake's tables.

    Raises
    ------
    Refused
        If it may not be run, is wrong, or goes over a limit.
    """
    checked(query)
    asked = json.dumps({"root": lake.root, "query": query, "limits": limits})
    is_far = "://" in lake.root
    kept = {k: v for k, v in os.environ.items() if is_far and k.startswith(CREDENTIALS)}
    command = [sys.executable, "-I", "-m", "pipelines.briefs.sandbox"]
    try:
        done = subprocess.run(
            command, input=asked.encode(), capture_output=True, timeout=limits.seconds + START_S, env=kept, cwd="/", check=False
        )
    except subprocess.TimeoutExpired:
        raise Refused(_too_long(limits)) from None
    status, _, rest = done.stdout.partition(b"\n")
    if done.returncode < 0:
        raise Refused("the query was ended: it needed too much memory or time")
    if done.returncode or status not in {b"whole", b"cut", b"no"}:
        raise Refused("the process that runs queries failed; the query may have needed too much memory")
    if status == b"no":
        raise Refused(rest.decode())
    frame = pl.from_arrow(pa.ipc.open_stream(rest).read_all())
    assert isinstance(frame, pl.DataFrame)
    return Rows(frame, status == b"cut")


def main() -> None:
    """Run the query that stdin tells of; write its rows, or why there are none, to stdout."""
    asked = json.load(sys.stdin)
    limits = Limits(*asked["limits"])
    try:
        lake = Lake(asked["root"])
        files = allowed_files(lake, asked["query"])
        connection = lake.connect(asked["query"])
        lock(connection, files + allowed_files(lake, asked["query"]), limits)  # a commit may have come in between
        bound(limits)
        table, is_cut = answer(connection, asked["query"], limits)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        told = (b"cut\n" if is_cut else b"whole\n") + sink.getvalue().to_pybytes()
    except (Refused, LakeError, duckdb.Error, MemoryError) as error:
        told = b"no\n" + _plain(error, limits).encode()
    sys.stdout.buffer.write(told)


def lock(connection: duckdb.DuckDBPyConnection, files: list[str], limits: Limits) -> None:
    """Leave a connection nothing but its views and these files: no other file, no network, no setting, no spill."""
    names = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    for setting in (
        f"memory_limit = '{limits.memory_mb}MB'",
        "threads = 1",  # sums of floats come out the same
        "temp_directory = ''",
        "max_temp_directory_size = '0B'",
        "python_enable_replacements = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
        "allow_persistent_secrets = false",
        f"allowed_paths = [{names}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


def allowed_files(lake: Lake, query: str) -> list[str]:
    """Return the files of the tables that a query may name.

    Raises
    ------
    Refused
        If the log of a table names a file that does not lie in the lake.
    """
    if "://" in lake.root:
        return []
    root = Path(lake.root).resolve()
    files = lake.files_named(query)
    if any(not Path(file).resolve().is_relative_to(root) for file in files):
        raise Refused("a table's log names a file outside the lake, which is not read")
    return files


def bound(limits: Limits) -> None:
    """Bound this process: it can write into no file and leave no core, whatever runs in it, and its memory and time end."""
    cpu = int(limits.seconds + START_S)
    memory = (limits.memory_mb * 4 + 4096) * 2**20  # of addresses, of which the engine reserves more than it uses
    for kind, most in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, memory),
    ):
        resource.setrlimit(kind, (most, most))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limits.seconds + GRACE_S)


def answer(connection: duckdb.DuckDBPyConnection, query: str, limits: Limits) -> tuple[pa.Table, bool]:
    """Return the first rows of a query and whether there are more; interrupted when its time is over."""
    timer = threading.Timer(limits.seconds, connection.interrupt)
    timer.start()
    try:
        reader: pa.RecordBatchReader = connection.execute(query).to_arrow_reader(limits.rows + 1)
        batches, rows = [], 0
        for batch in reader:
            batches.append(batch)
            rows += batch.num_rows
            if rows > limits.rows:
                break
        table = pa.Table.from_batches(batches, reader.schema)
    finally:
        timer.cancel()
    shown = table.slice(0, limits.rows)
    if shown.nbytes > limits.result_bytes:
        raise Refused(f"the result is larger than {limits.result_bytes:,} bytes; ask for fewer columns or rows")
    return shown, rows > limits.rows


def _plain(error: BaseException, limits: Limits) -> str:
    match error:
        case duckdb.InterruptException():
            return _too_long(limits)
        case duckdb.OutOfMemoryException() | MemoryError():
            return f"the query needed more than {limits.memory_mb} MB; ask for fewer rows"
        case duckdb.PermissionException():
            return "the query reaches outside the lake"
        case duckdb.IOException() | LakeError():  # their texts name paths
            return "a file of the lake was replaced meanwhile; ask again"
    return " ".join(str(error).partition("\n")[0].split())


def _too_long(limits: Limits) -> str:
    return f"the query was ended after {limits.seconds:g} s; ask for a shorter time or fewer rows"


if __name__ == "__main__":
    main()
