"""A sealed day equals a loaded one, whatever is sealed before, between or beside it."""

from __future__ import annotations

from pathlib import Path

from pipelines.history.seal import seal
from pipelines.history.stale import is_current, stale, unsealed
from pipelines.history.stored_day import stored_day
from pipelines.store.lake import Lake
from tests import tapes
from tests.pipelines.history import days


def test_sealed_days_equal_loaded_ones(tmp_path: Path) -> None:
    paths = [days.archived(tmp_path, shift) for shift in range(3)]
    sealed = Lake(tmp_path / "sealed")
    for shift, path in enumerate(paths):
        done = seal(sealed, days.tape_of(path, shift), tapes.KERNELS, sealed_at_us=days.NOW)
        assert not done.skipped
        assert done.tables["trades"].rows == 3000
    days.assert_same(sealed, days.loaded(tmp_path / "loaded", *paths))
    assert stale(sealed) == []
    assert unsealed(sealed) == []


def test_a_second_seal_of_the_same_tape_does_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    tape = days.tape_of(days.archived(tmp_path, 0), 0)
    seal(lake, tape, tapes.KERNELS, sealed_at_us=days.NOW)
    before = days.contents(lake), lake.live("trades"), lake.live("bars")
    for again in (tape, stored_day(lake, days.day())):
        assert is_current(lake, again, tapes.KERNELS)
        assert seal(lake, again, tapes.KERNELS, sealed_at_us=days.NOW + 1).skipped
    assert (lake.live("trades"), lake.live("bars")) == before[1:]
    assert lake.table("seals_history").collect().height == 1
    assert not list((tmp_path / "lake" / "_seals").glob("*"))


def test_days_sealed_in_any_order_then_the_stale_ones_give_the_same_bytes(tmp_path: Path) -> None:
    paths = [days.archived(tmp_path, shift, n=600) for shift in range(5)]
    in_order, shuffled = Lake(tmp_path / "in order"), Lake(tmp_path / "shuffled")
    for shift, path in enumerate(paths):
        seal(in_order, days.tape_of(path, shift), tapes.KERNELS, sealed_at_us=days.NOW)
    for shift in (3, 1, 4, 0, 2):
        seal(shuffled, days.tape_of(paths[shift], shift), tapes.KERNELS, sealed_at_us=days.NOW)
    sealed_again = 0
    while found := stale(shuffled):
        day, reason = found[0]
        assert "earlier dates of AAA-USDT-PERP have changed" in reason
        assert not seal(shuffled, stored_day(shuffled, day), tapes.KERNELS, sealed_at_us=days.NOW).skipped
        sealed_again += 1
        assert sealed_again <= 10
    assert sealed_again >= 2
    days.assert_same(in_order, shuffled)
    seals = [lake.table("seals").sort("ts").drop("as_of").collect() for lake in (in_order, shuffled)]
    assert seals[0].equals(seals[1])
