"""The live flow over a journal: where it begins, what it refuses, and beginning again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import polars as pl
import pytest

from pipelines.market import DAY_US, TABLES
from pipelines.records import Connect, InstrumentRecord, Instruments, Kind, Reference, Start
from pipelines.store.journal_writer import Writer
from pipelines.store.lake import Lake
from pipelines.store.segment import Record
from pipelines.tape import Rows
from tests import tapes
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
VENUE = "binance-usdm"


def head(now: int, symbols: list[str]) -> list[Record]:
    """Return what a recorder restates at the head of a segment."""
    instruments = [InstrumentRecord(i.symbol, i.native, i.base, i.quote) for i in tapes.INSTRUMENTS]
    said = [
        (0, Kind.SETTINGS, tapes.KERNELS.canonical()),
        (0, Kind.INSTRUMENTS, msgspec.json.encode(Instruments(VENUE, instruments))),
        (1, Kind.CONNECT, msgspec.json.encode(Connect(VENUE, "market", ["trades"], symbols))),
    ]
    said += [
        (0, Kind.REFERENCE, msgspec.json.encode(Reference(VENUE, i.native, date, 200.0, 20_000.0, 30, "2023-11-14")))
        for i in tapes.INSTRUMENTS
        for date in ("2023-11-15", "2023-11-16")
    ]
    return [Record(now, connection, int(kind), payload) for connection, kind, payload in said]


def journal(folder: Path, rows: Rows, *, segments: int = 4) -> None:
    """Write a tape as a recorder would have, with heartbeats, in several segments."""
    natives = [i.native for i in tapes.INSTRUMENTS]
    events: list[Record] = []
    recv = 0
    for row in rows:
        while recv and recv + 250_000_000 < int(row["ts"]) * 1000 + 50_000_000:
            recv += 250_000_000
            events.append(Record(recv, 0, int(Kind.HEARTBEAT), b""))
        recv = max(recv, int(row["ts"]) * 1000 + 50_000_000)
        frame = tapes.agg_trade(
            natives[int(row["instrument"])],
            int(row["trade_id"]),
            int(row["ts"]) // 1000,
            repr(float(row["price"])),
            repr(float(row["size"])),
            seller=bool(row["side"] < 0),
        )
        events.append(Record(recv, 1, int(Kind.FRAME), frame))
    begin = events[0].recv_ns
    with Writer(folder) as writer:
        writer.write([Record(begin, 0, int(Kind.START), msgspec.json.encode(Start("test", {VENUE: "agg"})))])
    size = -(-len(events) // segments)
    for k in range(segments):
        part = events[k * size : (k + 1) * size]
        with Writer(folder) as writer:
            writer.write([*head(part[0].recv_ns, natives), *part])


class Flow:
    """`tapeflow run` and `tapeflow rebuild` on a folder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.journal = data / "journal" / "main"
        self.store = data / "recovery" / "main" / "store"
        self.env = os.environ | {
            "TAPEFLOW_DATA": str(data),
            "TAPEFLOW_CONFIG": os.devnull,
            "TAPEFLOW_PORTS__METRICS": str(free_ports(1)[0]),
        }

    def do(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tapeflow", *args],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def run(self) -> None:
        done = self.do("run", "--until-end")
        assert done.returncode == 0, done.stdout + done.stderr

    def contents(self) -> dict[str, pl.DataFrame]:
        lake = Lake(self.data / "lake")
        out = {}
        for name, table in TABLES.items():
            out[name] = lake.table(name + "_history" if table.newest else name).collect().sort([*table.key, "end"])
        return out


def assert_same(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> None:
    for name in TABLES:
        assert one[name].equals(other[name]), name
    for name in ("trades", "bars", "vpin", "alerts", "coverage", "inputs", "instruments"):
        assert one[name].height > 0, name


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    made = Flow(tmp_path / "data")
    journal(made.journal, tapes.rows(1, 4000, begin=tapes.DAY + DAY_US - 300_000_000))
    return made


def test_stopped_at_any_segment_it_goes_on_to_the_same_lake(flow: Flow, tmp_path: Path) -> None:
    flow.run()
    bit_by_bit = Flow(tmp_path / "other")
    bit_by_bit.journal.mkdir(parents=True)
    for segment in sorted(flow.journal.glob("*.tfj")):
        shutil.copy(segment, bit_by_bit.journal)
        bit_by_bit.run()
    assert_same(flow.contents(), bit_by_bit.contents())
    flow.run()
    assert_same(flow.contents(), bit_by_bit.contents())


@pytest.mark.parametrize("damage", ["missing", "unreadable", "older", "of another version"])
def test_a_bad_recovery_store_is_refused_and_rebuild_mends_it(flow: Flow, tmp_path: Path, damage: str) -> None:
    held = max(flow.journal.glob("*.tfj"))
    held.rename(tmp_path / held.name)
    flow.run()
    shutil.copytree(flow.store, tmp_path / "older")
    (tmp_path / held.name).rename(held)
    flow.run()
    right = flow.contents()
    if damage == "of another version":
        (flow.store / "version").write_text("5")
    else:
        shutil.rmtree(flow.store)
    if damage == "older":
        shutil.copytree(tmp_path / "older", flow.store)
    if damage == "unreadable":
        flow.store.mkdir()
        (flow.store / "part-0.sqlite3").write_bytes(b"no database" * 1000)
    refused = flow.do("run", "--until-end")
    assert refused.returncode == 2
    assert "tapeflow rebuild --from" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert_same(flow.contents(), right)
    done = flow.do("rebuild", "--from", "2023-11-15")
    assert done.returncode == 0, done.stderr
    assert_same(flow.contents(), right)
    flow.run()
    assert_same(flow.contents(), right)


def test_a_rebuild_from_the_second_date_reads_the_first_from_the_lake(flow: Flow) -> None:
    flow.run()
    right = flow.contents()
    done = flow.do("rebuild", "--from", "2023-11-16")
    assert done.returncode == 0, done.stderr
    ours = flow.contents()
    for name in ("trades", "bars", "vpin", "alerts", "instruments", "klines", "quarantine"):
        assert ours[name].equals(right[name]), name
    assert set(ours["trades"]["date"].cast(pl.String)) == {"2023-11-15", "2023-11-16"}


def test_a_rebuild_begins_behind_what_is_sealed(tmp_path: Path) -> None:
    flow = Flow(tmp_path / "data")
    journal(flow.journal, tapes.rows(1, 1500, span_us=1_500_000_000, begin=tapes.DAY + DAY_US - 300_000_000))
    flow.run()
    sealed = flow.do("seal")
    assert sealed.returncode == 0, sealed.stderr
    right = flow.contents()
    assert set(right["seals"]["date"].cast(pl.String)) == {"2023-11-15"}
    refused = flow.do("rebuild", "--from", "2023-11-15")
    assert refused.returncode == 2
    assert "binance-usdm 2023-11-15 is sealed" in refused.stderr
    assert "begin with --from 2023-11-16" in refused.stderr
    assert_same(flow.contents(), right)
    done = flow.do("rebuild", "--from", "2023-11-16")
    assert done.returncode == 0, done.stderr
    ours = flow.contents()
    for name in ("trades", "bars", "seals"):
        assert ours[name].equals(right[name]), name
    key = TABLES["vpin"].key  # its windows begin with the sealed buckets of the first date, which late trades have changed
    assert ours["vpin"].select(key).equals(right["vpin"].select(key))


def test_rebuild_refuses_what_it_cannot_do(flow: Flow) -> None:
    for date, said in (("yesterday", "not a date"), ("2023-13-01", "not a date")):
        done = flow.do("rebuild", "--from", date)
        assert done.returncode == 2
        assert said in done.stderr
    shutil.rmtree(flow.journal)
    done = flow.do("rebuild", "--from", "2023-11-15")
    assert done.returncode == 2
    assert "empty" in done.stderr
