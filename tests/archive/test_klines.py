"""The venue's own minutes come beside its trades: verified, kept, compared, and never in the way."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import polars as pl
import pytest

from assets import day_checks, finishing
from assets.finishing import Ask, House, finish_all, house
from assets.klines import fetch_klines
from pipelines.history import stored_files
from pipelines.history.archive_day import archive_day
from pipelines.history.day import Day
from pipelines.history.kline_files import read_file, store
from pipelines.history.seal import seal
from pipelines.settings import Settings, load
from pipelines.sources import SourceError
from pipelines.store.lake import Lake
from pipelines.venues import venue
from tests.archive import days
from tests.archive.server import Shelf, serve
from tests.archive.test_backfill import KERNELS, daily, packed, quick
from tests.pipelines.history.days import NOW

__all__ = ["quick"]

VENUE = "binance-usdm"
DATE = dt.date(2026, 11, 20)
DAY = Day(DATE, VENUE)
MADE = days.day(DATE)
BTC = venue(VENUE).guess("BTCUSDT")
FOLDER = "/data/futures/um/daily/klines/BTCUSDT/1m"
PATH = f"{FOLDER}/BTCUSDT-1m-{DATE}.zip"
MONTH = f"/data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-{DATE:%Y-%m}.zip"


def archive(**klines: bytes) -> Shelf:
    shelf = Shelf()
    shelf.checked(daily(DATE), packed(daily(DATE), days.agg(MADE)))
    for name, content in klines.items():
        path = {"day": PATH, "month": MONTH}[name]
        shelf.checked(path, packed(path, content))
    return shelf


def at_home(folder: Path, base: str) -> House:
    return house(load(data=folder / "data", kernels=KERNELS, archives={VENUE: base}))


def finished(at: House, *, repair: bool = False) -> tuple[dict[str, Any], dg.AssetCheckEvaluation]:
    """Finish the day; return what its seal says of the venue's minutes, and what Dagster is told."""
    (outcome,) = finish_all(at, [DAY], Ask(("BTCUSDT",), repair=repair))
    assert (outcome.status, outcome.error) == ("sealed", "")
    seals = finishing.seals_of(at.lake, DAY)
    told = msgspec.json.decode(seals["BTC-USDT-PERP"]["details"])["checks"]["matches_venue"]
    shown = {e.check_name: e for e in day_checks.evaluations(at.lake, DAY, "bars", seals)}
    assert len(shown) == 3
    assert shown["sound"].passed
    return told, shown["matches_venue"]


def stored(at: House) -> pl.DataFrame:
    return at.lake.table("klines").sort("ts").collect()


@pytest.mark.parametrize("name", ["day", "month"])
@pytest.mark.parametrize("header", [b"", days.KLINE_HEADER])
def test_a_backfilled_day_is_held_against_the_minutes_of_its_archive(tmp_path: Path, name: str, header: bytes) -> None:
    body = days.klines(MADE, header=header)
    if name == "month":
        body += days.klines(days.day(DATE + dt.timedelta(1)), header=b"")
    shelf = archive(**{name: body})
    with serve(shelf) as url:
        at = at_home(tmp_path, url)
        told, shown = finished(at)
    assert stored(at).height == 1440
    assert stored(at)["interval"].unique().to_list() == ["1m"]
    assert told["share"] == 1.0
    assert told["compared"] == len({t.us // 60_000_000 for t in MADE})
    assert shown.passed
    assert shown.metadata["exact_share"].value == 1.0


@pytest.mark.parametrize("broken", ["missing", "checksum", "text"])
def test_a_day_without_its_minutes_is_finished_and_compared_when_they_have_come(tmp_path: Path, broken: str) -> None:
    good = archive(day=days.klines(MADE))
    shelf = archive() if broken == "missing" else archive(day=b"no,candles\nat,all\n")
    if broken == "checksum":
        shelf.files[PATH] += b"!"
    with serve(shelf) as url:
        at = at_home(tmp_path, url)
        told, shown = finished(at)
        assert set(told) == {"not_compared"}
        assert shown.passed
        assert f"tapeflow backfill --venue {VENUE} --dates {DATE} --repair" in str(shown.description)
        shelf.files |= good.files
        trades = at.lake.live("trades")
        told, shown = finished(at, repair=True)
        assert (told["share"], shown.passed) == (1.0, True)
        assert at.lake.live("trades") == trades
        (outcome,) = finish_all(at, [DAY], Ask(("BTCUSDT",), repair=True))
        assert outcome.status == "complete"
    assert stored(at).height == 1440


def test_minutes_may_lie_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / f"BTCUSDT-aggTrades-{DATE}.csv").write_bytes(days.agg(MADE))
    (folder / f"BTCUSDT-1m-{DATE}.csv").write_bytes(days.klines(MADE))
    told, _ = finished(at_home(tmp_path, str(folder)))
    assert told["share"] == 1.0


def test_minutes_that_others_store_at_the_same_time_are_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "klines.csv").write_bytes(days.klines(MADE))
    archived = venue(VENUE).archive_klines("BTCUSDT", DATE)
    assert archived is not None
    candles = read_file(tmp_path / "klines.csv", archived.parse)
    mine, theirs = Lake(tmp_path / "lake"), Lake(tmp_path / "lake")
    mine.create()
    true_read = stored_files.read

    def read_and_wait(*args: Any) -> Any:
        """Let the others finish between what is read here and what is written."""
        found = true_read(*args)
        monkeypatch.setattr("pipelines.history.kline_files.read", true_read)
        assert store(theirs, DAY, BTC, candles) == 1440
        return found

    monkeypatch.setattr("pipelines.history.kline_files.read", read_and_wait)
    assert store(mine, DAY, BTC, candles) == 0
    assert mine.table("klines").collect().height == 1440
    assert len([*(tmp_path / "lake" / "klines").rglob("*.parquet")]) == 1


@pytest.mark.parametrize(("flipped", "tape"), [(False, "fill"), (True, "fill"), (True, "agg")])
def test_a_tape_with_its_sides_turned_round_fails(tmp_path: Path, flipped: bool, tape: Any) -> None:
    made = [t._replace(sell=t.sell != flipped, first=t.id, last=t.id) for t in MADE]
    path, lake = tmp_path / f"BTCUSDT-x-{DATE}.csv", Lake(tmp_path / "lake")
    path.write_bytes(days.fills(made) if tape == "fill" else days.agg(made))
    lake.create()
    theirs = days.klines([t._replace(first=t.id, last=t.id) for t in MADE])
    (tmp_path / "klines.csv").write_bytes(theirs)
    archived = venue(VENUE).archive_klines("BTCUSDT", DATE)
    assert archived is not None
    candles = read_file(tmp_path / "klines.csv", archived.parse)
    assert (store(lake, DAY, BTC, candles), store(lake, DAY, BTC, candles)) == (1440, 0)
    seal(lake, archive_day([[path]], DAY, [BTC], tape), KERNELS, sealed_at_us=NOW + 10**15)
    (shown,) = [e for e in day_checks.evaluations(lake, DAY, "bars", _seals(lake)) if e.check_name == "matches_venue"]
    assert shown.passed is not flipped
    assert ("TURNED ROUND" in str(shown.description)) is flipped
    if not flipped:
        assert shown.metadata["exact_share"].value == 1.0


def _seals(lake: Lake) -> dict[str, dict[str, Any]]:
    return {row["symbol"]: row for row in lake.table("seals").collect().to_dicts()}


def test_venues_without_archived_minutes_are_asked_nothing(tmp_path: Path) -> None:
    shelf = Shelf()
    with serve(shelf) as url:
        chosen = load(data=tmp_path, archives={"okx": url})
        assert not [*fetch_klines(chosen, Day(DATE, "okx"), ["BTC-USDT"])]
    assert shelf.asked == []


def test_a_place_that_is_away_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    chosen = Settings(data=tmp_path, archives={VENUE: str(tmp_path / "nowhere")})
    assert not [*fetch_klines(chosen, DAY, ["BTCUSDT"], told.append)]
    assert told == ["the archive has no klines of BTC-USDT-PERP (yet)"]


@pytest.mark.parametrize("body", [b"1,2,3\n", b"\xff\xfe", b"open_time,\n1763596800000,x,1,1,1,1,1763596859999,1,1,1,1,0\n"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "x.csv").write_bytes(body)
    archived = venue(VENUE).archive_klines("BTCUSDT", DATE)
    assert archived is not None
    with pytest.raises(SourceError, match="holds no candles"):
        read_file(tmp_path / "x.csv", archived.parse)
