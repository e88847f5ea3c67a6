"""The notebook runs from top to bottom on a small lake, and is kept without output."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

from pipelines.jobs import Job, load
from pipelines.sources import open_source
from pipelines.store.lake import Lake
from tests import tapes

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "first_look.ipynb"


def _line(r: np.void) -> str:
    number, seller = r["trade_id"], str(r["side"] < 0).lower()
    return f"{number},{r['price']:.2f},{r['size']:.3f},{number},{number},{r['ts'] // 1000},{seller}\n"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    archive = tmp_path / "AAAUSDT-aggTrades-2023-11-15.csv"
    rows = tapes.rows(3, 3000, instruments=1)
    archive.write_text("".join(map(_line, rows)))
    made = Lake(str(tmp_path / "lake"))
    load(Job(open_source([archive], venue="binance-usdm"), tapes.KERNELS, made, complete=False, replace=False))
    return made


@pytest.fixture
def sockets() -> Iterator[Config]:
    """Let the kernel listen on files: of ports Jupyter takes five that it closed again, and others may have them by then."""
    with tempfile.TemporaryDirectory() as folder:
        yield Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})


def test_runs_headless_and_shows_prices_and_alerts(lake: Lake, sockets: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEFLOW_LAKE", lake.root)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=600, startup_timeout=600, resources=place, config=sockets).execute()
    shown = [output.data for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert sum("image/png" in data for data in shown) == 1
    assert any("big_trade" in data.get("text/plain", "") for data in shown)
    assert any("AAA-USDT-PERP" in data.get("text/plain", "") and "imbalance" in data["text/plain"] for data in shown)


def test_is_kept_without_output() -> None:
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert all(cell.execution_count is None and not cell.outputs for cell in cells)
