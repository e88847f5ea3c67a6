"""Whether a sealed day is whole in itself: ids follow each other or the ledger says why not, and no table loses volume."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.history.day import Day
from pipelines.history.tally import WIDE, Tally, total
from pipelines.market import BAR_WIDTHS_US, DAY_US
from pipelines.settings import Kernels
from pipelines.store.lake import Lake

Ints = npt.NDArray[np.int64]


class Soundness(NamedTuple):
    """What was found of a symbol: `numbers` to show, and `faults`: by table, what is wrong and how often."""

    numbers: dict[str, int]
    faults: dict[str, dict[str, int]]

    def compact(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        faults = {table: {why: n for why, n in found.items() if n} for table, found in self.faults.items()}
        return {"numbers": self.numbers, "faults": {table: found for table, found in faults.items() if found}}


def examine(
    lake: Lake, day: Day, symbol: str, tally: Tally, tables: dict[str, pl.DataFrame], held: Sequence[Kernels]
) -> Soundness:
    """Examine a symbol's day.

    Parameters
    ----------
    tables
        Its rows of `bars` and `vpin`.
    held
        Settings in force, one after the other; what only some of them name is not held against the whole day.
    """
    numbers = {"ids_missing": 0, "ids_in_ledger": 0, "ids_refused": 0}
    left = 0
    if tally.holes:
        holes = np.concatenate(tally.holes)
        missing = int((holes[:, 1] - holes[:, 0] + 1).sum())
        told = _told(lake, day, symbol, holes)
        refused = min(missing - told, _refused(lake, day, symbol))
        left = missing - told - refused
        numbers = {"ids_missing": missing, "ids_in_ledger": told, "ids_refused": refused}
    faults = {
        "trades": {"ids missing without a row in table gaps": left, "ids that stand twice": tally.repeated},
        "bars": dict(_bars(tables["bars"], tally, _common(held, "bars"))),
        "vpin": dict(_buckets(tables["vpin"], tally, _common(held, "vpin"))),
    }
    return Soundness({"trades": tally.rows, "counted": tally.counted, **numbers}, faults)


def _common(held: Sequence[Kernels], what: str) -> list[str]:
    return sorted(set.intersection(*(set(getattr(kernels, what)) for kernels in held)))


def _told(lake: Lake, day: Day, symbol: str, holes: Ints) -> int:
    """Return how many of the ids of holes the ledger names; a row without ids stands for holes of its time."""
    begin = dt.datetime.combine(day.date, dt.time(), dt.UTC)
    here = lake.table("gaps").filter(
        pl.col("venue") == day.venue,
        pl.col("symbol") == symbol,
        pl.col("feed") == "trades",
        pl.col("status") != "repaired",
        pl.col("ts") < begin + dt.timedelta(microseconds=DAY_US),
        pl.col("end") >= begin,
    )
    rows = here.select("from_id", "to_id", pl.col("ts", "end").dt.epoch("us")).collect()
    timed = rows.filter(pl.col("from_id").is_null()).select("ts", "end").rows()
    numbered = rows.filter(pl.col("from_id").is_not_null(), pl.col("to_id").is_not_null()).select("from_id", "to_id").rows()
    by_time = np.zeros(len(holes), np.bool_)
    for first, last in timed:
        by_time |= (holes[:, 2] <= last) & (holes[:, 3] >= first)
    named = covered(holes[~by_time, :2], numbered)
    return int((holes[by_time, 1] - holes[by_time, 0] + 1).sum()) + named


def covered(ranges: Ints, others: Sequence[tuple[int, int]]) -> int:
    """Return how many numbers of `ranges`, ends included, lie in any of `others`."""
    union: list[tuple[int, int]] = []
    for first, last in sorted(others):
        if union and first <= union[-1][1] + 1:
            union[-1] = union[-1][0], max(union[-1][1], last)
        else:
            union.append((first, last))
    if not union or not len(ranges):
        return 0
    begin, end = np.array(union, np.int64).T
    done = np.concatenate([[0], np.cumsum(end - begin + 1)])

    def up_to(numbers: Ints) -> Ints:
        at = np.searchsorted(begin, numbers, side="right")
        inside = np.where(at > 0, np.minimum(numbers - begin[at - 1] + 1, end[at - 1] - begin[at - 1] + 1), 0)
        return np.where(at > 0, done[np.maximum(at - 1, 0)], 0) + inside

    return int((up_to(ranges[:, 1]) - up_to(ranges[:, 0] - 1)).sum())


def _refused(lake: Lake, day: Day, symbol: str) -> int:
    rows = lake.table("quarantine", date=day.date).filter(pl.col("venue") == day.venue, pl.col("symbol") == symbol)
    return int(rows.select(pl.len()).collect().item())


def lots(values: pl.Series, places: int) -> tuple[int, int]:
    """Return the sum of volumes in lots of so many decimals, and by how much rounding may have moved it."""
    found = np.rint(values.to_numpy() * 10.0**places)
    wide = np.trunc(found / WIDE)
    whole, rest = total(wide.astype(np.int64)), total((found - wide * WIDE).astype(np.int64))
    return whole * WIDE + rest, total(np.abs(wide).astype(np.int64))


def _bars(bars: pl.DataFrame, tally: Tally, names: Sequence[str]) -> dict[str, int]:
    """Hold the sums of each width of time bars against the trades."""
    faults: dict[str, int] = defaultdict(int)
    for name in (name for name in BAR_WIDTHS_US if name in names):
        rows = bars.filter(pl.col("bar") == name)
        faults[f"{name} bars: other trades"] = abs(int(rows["trades"].sum()) - tally.counted)
        faults[f"{name} bars: other fills"] = abs(int(rows["fills"].sum()) - tally.fills)
        for column, expected in (("volume", tally.lots), ("buy_volume", tally.buy_lots)):
            found, slack = lots(rows[column], tally.places)
            faults[f"{name} bars: other {column}, lots"] = _beyond(found - expected, slack + tally.slack)
    return faults


def _buckets(vpin: pl.DataFrame, tally: Tally, names: Sequence[str]) -> dict[str, int]:
    """Hold the buckets of each setting, with the rest in the last, against the trades.

    The row of the last, cut short, has V and not what is in it: that is twice what was bought, more or less the imbalance.
    """
    faults: dict[str, int] = {}
    for name in names:
        rows = vpin.filter(pl.col("setting") == name)
        if not rows.height:  # no V was known
            continue
        full, short = rows.filter(~pl.col("partial")), rows.filter(pl.col("partial"))
        bought, slack = lots(rows["buy_volume"], tally.places)
        filled, more = lots(full["bucket_volume"], tally.places)
        (buy, _), (apart, _) = lots(short["buy_volume"], tally.places), lots(short["imbalance"], tally.places)
        rest = [2 * buy - apart, 2 * buy + apart]
        faults[f"{name} buckets: other buy_volume, lots"] = _beyond(bought - tally.buy_lots, slack + tally.slack)
        faults[f"{name} buckets: other volume, lots"] = min(
            _beyond(filled + part - tally.lots, slack + more + tally.slack) for part in rest
        )
    return faults


def _beyond(difference: int, slack: int) -> int:
    return max(0, abs(difference) - slack)
