"""A date computed alone, from the stored rows of the dates before, equals the same date computed in one go with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.market import DAY_US
from pipelines.seed import Seeds
from pipelines.settings import Kernels
from pipelines.store.lake import Lake
from tests import tapes

SECOND_DATE = tapes.DAY + DAY_US
HOURS = 3
KERNELS = Kernels(
    bars=("1m", "tick:7", "volume", "dollar", "imbalance:tick:5", "imbalance:volume:ewma:9", "run:dollar:ewma:9"),
    vpin=("adv50x50", "v2.5x5", "v0.4x30"),
    percentile_window=30,
    percentile_min=5,
    bucket_volume="4",
    detectors=tapes.EAGER.model_copy(update={"volume_surge": tapes.EAGER.volume_surge.model_copy(update={"bar": "1m"})}),
)


def stored(lake: Lake, out: dict[str, pa.Table]) -> None:
    """Write the rows of the first date."""
    lake.create()
    for name in ("bars", "vpin", "seals"):
        rows = out[name].filter(pc.less(out[name]["date"], pa.scalar(np.datetime64(SECOND_DATE, "us").astype("M8[D]").item())))
        lake.commit(name, f"job/{name}", 1, lake.stage(name, rows, "job-1", {}))


@pytest.mark.parametrize("seed", range(3))
def test_a_date_alone_equals_the_date_in_one_go(seed: int, tmp_path: Path) -> None:
    tape = tapes.rows(seed, 1200, span_us=2 * HOURS * 3_600_000_000, begin=SECOND_DATE - HOURS * 3_600_000_000, instruments=2)
    later = np.zeros(tape.size, np.bool_)
    for i in np.unique(tape["instrument"]):
        mine = tape["instrument"] == i
        later[mine] = np.maximum.accumulate(tape["ts"][mine]) >= SECOND_DATE
    tape = tape[~later | (tape["ts"] >= SECOND_DATE)]
    later = np.isin(tape["trade_id"], tape["trade_id"][tape["ts"] >= SECOND_DATE])
    whole = tapes.run(tapes.signals(KERNELS, complete=True), tape)
    lake = Lake(tmp_path)
    stored(lake, whole)
    alone = tapes.signals(KERNELS, complete=True)
    for i in range(2):
        assert Seeds(lake, SECOND_DATE).plant(alone, i)
    again = tapes.run(alone, tape[later].copy())
    for name in ("bars", "vpin"):
        second = whole[name].filter(pc.equal(whole[name]["date"], again[name]["date"][0]))
        assert second == again[name]
    assert second["vpin_bvc"].null_count < second.num_rows / 2
    assert {"imbalance:volume:ewma:9", "run:dollar:ewma:9"} < set(again["bars"]["bar"].to_pylist())
