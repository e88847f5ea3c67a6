"""Ten days from an archive that does everything archives do: nine are good, the broken one is named, and in the end all are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets import finishing
from assets.finishing import Ask, House, finish_all, house
from pipelines.history.day import Day
from pipelines.market import TABLES
from pipelines.settings import Kernels, Venue, load
from tests.archive import days
from tests.archive.server import Shelf, serve

VENUE = "binance-usdm"
FIRST = dt.date(2026, 10, 27)
DATES = [FIRST + dt.timedelta(n) for n in range(10)]
DAYS = [Day(date, VENUE) for date in DATES]
BROKEN = 5
KERNELS = Kernels(bars=("1m", "1h"), vpin=("v50x5",), percentile_window=20, percentile_min=5)
ROOT = "/data/futures/um"


def daily(date: dt.date) -> str:
    return f"{ROOT}/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{date}.zip"


def monthly(date: dt.date) -> str:
    return f"{ROOT}/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{date:%Y-%m}.zip"


def packed(path: str, content: bytes) -> bytes:
    return days.zipped(path.rpartition("/")[2].replace(".zip", ".csv"), content)


def good() -> Shelf:
    shelf = Shelf()
    for date in DATES:
        shelf.checked(daily(date), packed(daily(date), days.agg(days.day(date))))
    return shelf


def bad() -> Shelf:
    """Return an archive in which every day but one can be had, each in its way."""
    shelf = good()
    made = [days.day(date) for date in DATES]
    shelf.checked(daily(DATES[0]), packed(daily(DATES[0]), days.agg(made[0], header=b"")))
    shelf.checked(daily(DATES[1]), packed(daily(DATES[1]), days.agg(made[1], unit=1)))
    shelf.busy[daily(DATES[2])] = 2
    shelf.cut[daily(DATES[3])] = [3_000, 2_000]
    shelf.files[daily(DATES[BROKEN])] += b"!"
    october = [made[4], made[3]]  # 31 October is only in the month, whose ranges are interleaved
    mixed = [t for pair in zip(*october, strict=True) for t in pair]
    shelf.checked(monthly(DATES[4]), packed(monthly(DATES[4]), days.agg(mixed)))
    november = [made[4][-1], *(t for some in made[5:] for t in some)]  # its first trade is October's last
    shelf.checked(monthly(DATES[8]), packed(monthly(DATES[8]), days.agg(november)))
    for date in (DATES[4], DATES[8]):
        del shelf.files[daily(date)]
    return shelf


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("assets.download.time.sleep", lambda _: None)


def lake(folder: Path, url: str) -> House:
    return house(load(data=folder, kernels=KERNELS, venues={VENUE: Venue(symbols=("BTCUSDT",))}, archives={VENUE: url}))


def rows(at: House) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    for name in ("trades", "bars", "vpin", "features", "posture", "alerts"):
        table = at.lake.table(name).filter(pl.col("date").is_in(DATES))
        found[name] = table.sort(TABLES[name].key).select(columns(name)).collect().rows()
    return found


def columns(name: str) -> list[str]:
    return [*TABLES[name].lake_schema.names]


def settled(at: House) -> dict[str, list[tuple[Any, ...]]]:
    """Seal what is stale until nothing is; return all rows."""
    for _ in DAYS:
        if not (due := [day for day, _ in finishing.due(at.lake, None)]):
            break
        assert {o.status for o in finish_all(at, due, Ask())} <= {"sealed"}
    assert finishing.due(at.lake, None) == []
    return rows(at)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
    """Yield what a faultless archive gives, its days taken in order."""
    with serve(good()) as url:
        at = lake(tmp_path_factory.mktemp("good"), url)
        assert {o.status for o in finish_all(at, DAYS, Ask())} == {"sealed"}
        yield rows(at)


def test_day_six_of_ten_is_broken(tmp_path: Path, wanted: dict[str, list[tuple[Any, ...]]]) -> None:
    shelf = bad()
    with serve(shelf) as url:
        at = lake(tmp_path, url)
        outcomes = [*finish_all(at, DAYS, Ask())]
        assert [o.status for o in outcomes] == ["failed" if k == BROKEN else "sealed" for k in range(10)]
        assert "its checksum file says" in outcomes[BROKEN].error
        shelf.checked(daily(DATES[BROKEN]), packed(daily(DATES[BROKEN]), days.agg(days.day(DATES[BROKEN]))))
        assert [o.status for o in finish_all(at, [DAYS[BROKEN]], Ask())] == ["sealed"]
        found = settled(at)
        shelf.asked.clear()
        assert {o.status for o in finish_all(at, DAYS, Ask())} == {"complete"}
        assert shelf.asked == []  # a second launch skips what is complete
    assert wanted["trades"]
    assert wanted["vpin"]
    for name, table in wanted.items():
        assert found[name] == table, name


def test_two_ranges_in_reverse_order(tmp_path: Path, wanted: dict[str, list[tuple[Any, ...]]]) -> None:
    with serve(good()) as url:
        at = lake(tmp_path, url)
        for some in (DAYS[2:4], DAYS[:2]):
            assert {o.status for o in finish_all(at, some, Ask())} == {"sealed"}
        found = settled(at)
    for name, table in wanted.items():
        of_date = columns(name).index("date")
        assert found[name] == [row for row in table if row[of_date] in DATES[:4]], name


def test_a_day_issued_anew_is_sealed_anew(tmp_path: Path) -> None:
    shelf = good()
    with serve(shelf) as url:
        at = lake(tmp_path, url)
        assert {o.status for o in finish_all(at, DAYS[:1], Ask())} == {"sealed"}
        shelf.checked(daily(DATES[0]), packed(daily(DATES[0]), days.agg(days.day(DATES[0], n=400))))
        assert [o.status for o in finish_all(at, DAYS[:1], Ask(force=True))] == ["sealed"]
        assert at.lake.table("trades").collect().height == 400
        assert [o.status for o in finish_all(at, DAYS[:1], Ask(force=True))] == ["complete"]
