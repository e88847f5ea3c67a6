"""What differs is counted by reason; what nothing explains is shown."""

from __future__ import annotations

import datetime as dt

import polars as pl

from pipelines.history.differences import REASONS, Causes, clock_causes, compare, compare_trades, trade_causes
from pipelines.market import TABLES
from tests import tapes

BEGIN = dt.datetime(2023, 11, 15, tzinfo=dt.UTC)


def at(second: float) -> dt.datetime:
    return BEGIN + dt.timedelta(seconds=second)


def us(second: float) -> int:
    return tapes.DAY + int(second * 1e6)


def bars(*told: tuple[str, float, float, float]) -> pl.DataFrame:
    """Return bars of name, start, end and volume."""
    rows = [{"bar": bar, "ts": at(begin), "end": at(end), "first_id": 1, "volume": volume} for bar, begin, end, volume in told]
    frame = pl.DataFrame(TABLES["bars"].lake_schema.empty_table())
    return pl.concat(
        [frame, pl.DataFrame(rows, schema_overrides={"ts": frame["ts"].dtype, "end": frame["ts"].dtype})], how="diagonal_relaxed"
    )


def test_a_time_bar_is_explained_by_what_lies_within_it() -> None:
    live = bars(("1s", 0, 1, 1.0), ("1s", 1, 2, 1.0), ("1s", 2, 3, 1.0), ("1m", 0, 60, 3.0))
    sealed = bars(("1s", 0, 1, 1.0), ("1s", 1, 2, 2.0), ("1s", 2, 3, 5.0), ("1m", 0, 60, 8.0), ("1s", 7, 8, 1.0))
    causes = Causes()
    causes.add("late", [us(1.5)])
    found = compare("bars", live, sealed, causes)
    assert found.compact() == {
        "equal": 1,
        "changed": {"late": 2, "unexplained": 1},
        "only_sealed": {"unexplained": 1},
        "columns": {"volume": 3},
        "unexplained": [f"1s {at(2)} 1 changed", f"1s {at(7)} 1 only_sealed"],
    }


def test_what_runs_on_along_the_tape_is_explained_by_any_cause_before_its_end() -> None:
    live = bars(("tick:7", 0, 1, 1.0), ("tick:7", 1, 2, 1.0), ("tick:7", 5, 9, 1.0))
    sealed = bars(("tick:7", 0, 1, 2.0), ("tick:7", 1, 2, 2.0), ("tick:7", 5, 9, 2.0))
    causes = Causes()
    causes.add("repaired", [us(2)])
    causes.add("late", [us(5)])
    found = compare("bars", live, sealed, causes)
    assert dict(found.changed) == {"unexplained": 1, "repaired": 1, "late": 1}
    causes.earlier = True
    assert dict(compare("bars", live, sealed, causes).changed) == {"earlier dates": 1, "repaired": 1, "late": 1}


def test_what_was_open_when_a_date_was_sealed_before_its_end_is_told_so() -> None:
    live = bars(("1s", 5, 6, 1.0))
    sealed = bars(("1s", 3, 4, 1.0), ("1s", 5, 6, 2.0), ("1s", 69, 70, 1.0), ("1m", 60, 120, 4.0))
    found = compare("bars", live, sealed, Causes(reached=us(69)))
    assert found.compact()["only_sealed"] == {"open": 2, "unexplained": 1}
    assert dict(found.changed) == {"unexplained": 1}


def test_a_bar_that_took_in_the_trades_of_minutes_explains_them_all() -> None:
    """A recorder that is held up for minutes beats before it has read what came."""
    ids = {0: (1, 1), 5: (2, 3), 90: (4, 6), 300: (7, 7)}
    sealed = bars(*(("1s", at_s, at_s + 1, 1.0) for at_s in ids))
    sealed = sealed.with_columns(
        first_id=pl.Series([a for a, _ in ids.values()]), last_id=pl.Series([b for _, b in ids.values()])
    )
    live = bars(("1s", 0, 1, 1.0), ("1s", 300, 301, 3.0))
    live = live.with_columns(first_id=pl.Series([1, 2]), last_id=pl.Series([1, 7]), quality=pl.Series(["complete", "late"]))
    causes = Causes()
    clock_causes(live, sealed, causes)
    assert causes.times["closed by clock"].tolist() == [us(5), us(90), us(300)]
    other = live.with_columns(first_id=pl.Series([1, 7]))
    causes = Causes()
    clock_causes(other, sealed, causes)
    assert causes.times["closed by clock"].tolist() == [us(300)], "it did not take them in"


def test_trades_of_another_tape_are_compared_by_id() -> None:
    live = pl.DataFrame(
        {"trade_id": [1, 2, 3, 4], "ts": [at(1), at(2), at(3), at(3)], "price": [1.0, 2.0, 3.0, 3.0], "size": 1.0, "side": 1}
        | {"counted": [True, False, True, True], "seq": [0, 1, 2, 3]}
    )
    sealed = pl.DataFrame(
        {"trade_id": [1, 2, 4, 3, 5], "ts": [at(1), at(2), at(3), at(3), at(4)], "price": [1.0, 2.0, 3.0, 3.0, 9.0], "size": 1.0}
        | {"side": 1, "counted": True, "seq": [0, 1, 2, 3, 4]}
    )
    assert compare_trades(live, sealed).compact() == {
        "equal": 3,
        "changed": {"late": 1},
        "only_sealed": {"missed": 1},
        "columns": {"counted": 1},
    }
    causes = Causes()
    trade_causes(live, sealed, causes)
    assert {reason: times.tolist() for reason, times in causes.times.items()} == {"missed": [us(2), us(4)], "tie": [us(3)]}


def test_every_reason_says_what_it_means() -> None:
    assert list(REASONS)[-1] == "unexplained"
    assert all(REASONS.values())
