"""Two shards into one lake: as two services, and in one Bytewax cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pytest
from bytewax._bytewax import init_db_dir

from pipelines.market import DAY_US, TABLES
from pipelines.store.lake import Lake
from pipelines.tape import Rows
from tests import tapes
from tests.dataflows.test_live import journal
from tests.faults.house import ROOT, wait_for
from tests.ports import free_ports

SHARDS = ("a", "b")
MADE = ("trades", "bars", "vpin", "features", "posture", "alerts", "gaps", "coverage")


def data(folder: Path, shard: str) -> Path:
    """Return the volume of a shard; nothing but the lake is shared."""
    return folder / shard


def tape(shard: str) -> Rows:
    """Return five minutes around midnight of the one instrument of a shard."""
    rows = tapes.rows(1, 3000, begin=tapes.DAY + DAY_US - 150_000_000)
    return rows.compress(rows["instrument"] == SHARDS.index(shard))


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    """Write the journal of each shard, for the services and for the cluster."""
    for kind in ("services", "cluster"):
        for shard in SHARDS:
            journal(data(tmp_path / kind, shard) / "journal" / shard, tape(shard))
    return tmp_path


def environment(folder: Path, shard: str) -> dict[str, str]:
    """Return what makes a process one of a shard: configuration and nothing else."""
    return os.environ | {
        "TAPEFLOW_CONFIG": os.devnull,
        "TAPEFLOW_DATA": str(data(folder, shard)),
        "TAPEFLOW_LAKE": str(folder / "lake"),
        "TAPEFLOW_SHARD": shard,
        "TAPEFLOW_PORTS__METRICS": str(free_ports(1)[0]),
    }


def contents(folder: Path) -> dict[str, pl.DataFrame]:
    lake, found = Lake(folder / "lake"), {}
    for name in MADE:
        table = TABLES[name]
        found[name] = lake.table(name + "_history" if table.newest else name).collect().sort([*table.key, "end"])
    return found


def finished(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        said, _ = process.communicate(timeout=400)
        assert process.returncode == 0, said.decode()


def services(folder: Path) -> dict[str, pl.DataFrame]:
    """Run a flow for each shard, both at once, to the end of their journals."""
    command = [sys.executable, "-m", "tapeflow", "run", "--until-end"]
    finished(
        [
            subprocess.Popen(command, cwd=ROOT, env=environment(folder, shard), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for shard in SHARDS
        ]
    )
    return contents(folder)


def test_two_flows_write_each_its_own_rows_to_the_same_dates(journals: Path) -> None:
    both = services(journals / "services")
    assert both["trades"].height == sum(tape(shard).size for shard in SHARDS)
    assert sorted(both["coverage"]["shard"].unique()) == [*SHARDS]
    for name in MADE:
        assert both[name].select(TABLES[name].key).is_unique().all() or TABLES[name].newest, name
    days = [set(rows["date"]) for _, rows in both["trades"].group_by("symbol")]
    assert len(days) == len(SHARDS)
    assert len(days[0]) == 2
    assert days[0] == days[1]


CLUSTER = """
import sys
from datetime import timedelta
from pathlib import Path
import bytewax.operators as op
from bytewax._bytewax import cli_main, init_db_dir
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig
from dataflows.lake_sink import LakeSink, Plan
from dataflows.sources import JournalSource
from dataflows.stream import _Step
from pipelines.engine import Engine
from pipelines.seed import Seeds
from pipelines.settings import Kernels
from pipelines.store.lake import Lake

number, addresses, folder, stores = int(sys.argv[1]), sys.argv[2].split(";"), Path(sys.argv[3]), Path(sys.argv[4])
shards, root = ["a", "b"], str(folder / "lake")


class Here(JournalSource):
    def list_parts(self):
        return super().list_parts() if shards.index(self.shard) == number else []  # its journal is on that host's volume


class Sink(LakeSink):
    def list_parts(self):
        return super().list_parts() if shards.index(self.shard) == number else []


def begin(shard):
    new = lambda: Engine(Kernels(), shard=shard, seeds=Seeds(Lake(root), 0))
    return lambda state: _Step(Engine.restore(state) if state else new(), lambda _: None)


flow = Dataflow("cluster")
for shard in shards:
    source = Here(shard, folder / shard / "journal" / shard, ("", 0), lambda: False, until_end=True)
    items = op.input(f"source_{shard}", flow, source)
    keyed = op.key_on(f"shard_{shard}", items, lambda _, shard=shard: shard)
    arrivals = op.stateful_batch(f"engine_{shard}", keyed, begin(shard))
    plan = Plan(root, f"{shard}.0", {"source": f"journal:{shard}"}, live=True, report=lambda *_: None)
    op.output(f"lake_{shard}", arrivals, Sink(shard, plan))
recovery = RecoveryConfig(str(stores), backup_interval=timedelta(0))
cli_main(flow, process_id=number, addresses=addresses, epoch_interval=timedelta(seconds=0.2), recovery_config=recovery)
"""


def cluster(folder: Path, *, kill: bool = False) -> list[int]:
    """Run a process for each shard, joined by TCP; return their exit statuses. `kill`: the second at its next commit."""
    stores = folder / "recovery"
    if not stores.exists():
        stores.mkdir()
        init_db_dir(stores, len(SHARDS))
    addresses = ";".join(f"127.0.0.1:{port}" for port in free_ports(2))
    env = os.environ | {"TAPEFLOW_CONFIG": os.devnull}
    commits = _commits(folder)
    with ExitStack() as stack:
        processes = []
        for n in range(2):
            said = stack.enter_context((folder / f"{n}.log").open("wb"))
            command = [sys.executable, "-c", CLUSTER, str(n), addresses, str(folder), str(stores)]
            processes.append(subprocess.Popen(command, cwd=ROOT, env=env, stdout=said, stderr=said))
            stack.callback(processes[-1].kill)
        if kill:
            wait_for(lambda: _commits(folder) > commits or processes[1].poll() is not None, "a commit", 120)
            processes[1].kill()
        return [process.wait(120) for process in processes]


def _commits(folder: Path) -> int:
    return len(list((folder / "lake").glob("*/_delta_log/*.json")))


@pytest.mark.soak
def test_a_cluster_of_two_writes_what_two_flows_write(journals: Path) -> None:
    right = services(journals / "services")
    statuses = [cluster(journals / "cluster", kill=True) for _ in range(4)]
    assert any(both[0] for both in statuses), "the death of one ends the other"
    assert cluster(journals / "cluster") == [0, 0], (journals / "cluster" / "0.log").read_text()[-2000:]
    ours = contents(journals / "cluster")
    for name in MADE:
        assert ours[name].equals(right[name]), name
