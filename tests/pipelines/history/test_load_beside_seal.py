"""A load and a seal of the same day at once: the rows of one, each once; the other ends in them, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.history.seal import seal
from pipelines.jobs import Job, JobError, load
from pipelines.market import TABLES
from pipelines.sources import open_source
from pipelines.store.lake import Lake
from tests import tapes
from tests.pipelines.history import days


class Interrupted(Lake):
    """A lake in which others do something before one of the commits."""

    def __init__(self, root: Path, place: int, deed: Callable[[], object]) -> None:
        super().__init__(root)
        self.left, self.deed = place, deed

    def commit(self, *args: Any) -> bool:
        self.left -= 1
        if self.left == -1:
            self.deed()
        return super().commit(*args)


def job(lake: Lake, path: Path, *, replace: bool = False) -> Job:
    return Job(open_source([path], venue=days.VENUE, symbol=None), tapes.KERNELS, lake, complete=True, replace=replace)


def rows_once(lake: Lake) -> None:
    """The day is there, and no key of it twice."""
    assert lake.table("trades").collect().height == 600
    for table in (*days.TABLES_OF_A_DAY, "seals", "quarantine"):
        found = lake.table(table).select(TABLES[table].key).collect()
        assert found.is_duplicated().sum() == 0, table


@pytest.mark.parametrize("place", [0, 1, 4])
def test_a_day_is_sealed_while_it_is_loaded(tmp_path: Path, place: int) -> None:
    """The seal is there before the first commit of the load, or after it, and ends before the next."""
    path = days.archived(tmp_path, 0, n=600)
    root, sealer = tmp_path / "lake", Lake(tmp_path / "lake")
    lake = Interrupted(root, place, lambda: seal(sealer, days.tape_of(path, 0), tapes.KERNELS, sealed_at_us=days.NOW))
    with pytest.raises(JobError, match="use --replace to replace them"):
        load(job(lake, path))
    rows_once(sealer)
    days.assert_same(sealer, days.loaded(tmp_path / "alone", path))


@pytest.mark.parametrize("place", [0, 3])
def test_a_load_that_replaces_takes_out_what_was_sealed_before_it_began_to_commit_and_loses_nothing(
    tmp_path: Path, place: int
) -> None:
    """Run again, it still does not take out the seal's trades, for its own would not come again."""
    path = days.archived(tmp_path, 0, n=600)
    sealer, lake = Lake(tmp_path / "lake"), tmp_path / "lake"

    def deed() -> None:
        seal(sealer, days.tape_of(path, 0), tapes.KERNELS, sealed_at_us=days.NOW)

    if place:
        for again in (Interrupted(lake, place, deed), Lake(lake)):
            with pytest.raises(JobError, match="were replaced while it ran"):
                load(job(again, path, replace=True))
            rows_once(sealer)
    else:
        load(job(Interrupted(lake, place, deed), path, replace=True))
    rows_once(sealer)
    days.assert_same(sealer, days.loaded(tmp_path / "alone", path))


@pytest.mark.parametrize("place", [0, 1, 3, 6])
def test_a_day_is_loaded_while_it_is_sealed(tmp_path: Path, place: int) -> None:
    """Before the seal has computed, or is about to commit to its first, third or last table."""
    path = days.archived(tmp_path, 0, n=600)
    first, second = Lake(tmp_path / "lake"), Lake(tmp_path / "lake")
    steps: list[str] = []

    def watch(step: str, _: int) -> None:
        if step == "commit" or step not in steps:
            steps.append(step)
            if len(steps) == place + 1:
                if place < 2:  # the lake is empty still
                    load(job(second, path))
                else:
                    with pytest.raises(JobError, match="use --replace"):
                        load(job(second, path))

    seal(first, days.tape_of(path, 0), tapes.KERNELS, sealed_at_us=days.NOW, watch=watch)
    rows_once(first)
    days.assert_same(first, days.loaded(tmp_path / "alone", path))


def test_loads_of_two_symbols_of_a_day_do_not_refuse_each_other(tmp_path: Path) -> None:
    paths = [days.archived(tmp_path, 0, symbol, n=600) for symbol in ("AAA", "BBB")]
    lake = Interrupted(tmp_path / "lake", 2, lambda: load(job(Lake(tmp_path / "lake"), paths[1])))
    load(job(lake, paths[0]))
    counts = lake.table("trades").collect()["symbol"].value_counts().sort("symbol").rows()
    assert counts == [("AAA-USDT-PERP", 600), ("BBB-USDT-PERP", 600)]
    rows = lake.table("bars").select(TABLES["bars"].key).collect()
    assert rows["symbol"].n_unique() == 2
    assert rows.is_duplicated().sum() == 0
