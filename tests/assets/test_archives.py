"""Days fetched from an archive over HTTP: whatever goes wrong on the way, the right bytes or a clear refusal."""

from __future__ import annotations

import datetime as dt
import email.utils
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from assets import download
from assets.archives import ArchiveError, MissingError, fetch_day
from assets.download import Patience
from pipelines.history.archive_day import ArchiveDay
from pipelines.history.day import Day
from pipelines.settings import Settings
from pipelines.sources import SourceError
from pipelines.tape import Rows, joined
from tests.archive import days
from tests.archive.days import DATE, Made
from tests.archive.server import Shelf, serve

NEXT, BEFORE = DATE + dt.timedelta(1), DATE - dt.timedelta(1)
QUICK = Patience(attempts=4, first_s=0.01, most_s=0.05)
DAILY = f"/data/futures/um/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{DATE}.zip"
MONTHLY = f"/data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{DATE:%Y-%m}.zip"


def packed(path: str, content: bytes) -> bytes:
    return days.zipped(path.rpartition("/")[2].replace(".zip", ".csv"), content)


class Archive:
    """An archive, and how days are fetched from it."""

    def __init__(self, shelf: Shelf, url: str, data: Path) -> None:
        self.shelf, self.url, self.data = shelf, url, data
        self.told: list[str] = []

    def day(self, venue: str = "binance-usdm", *symbols: str, date: dt.date = DATE) -> ArchiveDay:
        settings = Settings(data=self.data, archives={venue: self.url})
        return fetch_day(settings, Day(date, venue), symbols or ("BTCUSDT",), self.told.append, QUICK)

    def rows(self, venue: str = "binance-usdm", *symbols: str, date: dt.date = DATE) -> Rows:
        return joined(list(self.day(venue, *symbols, date=date).pieces()))

    def kept(self, path: str, venue: str = "binance-usdm") -> Path:
        return self.data / "archive" / venue / path.lstrip("/")


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    shelf = Shelf()
    with serve(shelf) as url:
        yield Archive(shelf, url, tmp_path / "data")


def check(found: Rows, trades: list[Made]) -> None:
    assert found["ts"].tolist() == [t.us for t in trades]
    assert found["price"].tolist() == [float(t.price) for t in trades]


def test_a_day_is_fetched_verified_and_kept(archive: Archive) -> None:
    trades = days.day()
    content = packed(DAILY, days.agg(trades))
    archive.shelf.checked(DAILY, content)
    check(archive.rows(), trades)
    kept = archive.kept(DAILY)
    card = json.loads(kept.with_name(kept.name + ".json").read_bytes())
    assert kept.read_bytes() == content
    assert card["sha256"] == hashlib.sha256(content).hexdigest()
    assert card["url"] == archive.url + DAILY
    assert archive.shelf.count(MONTHLY) == 0
    assert not [*kept.parent.glob("*.part*")]


@pytest.mark.parametrize(
    ("venue", "section", "symbol", "header", "unit"),
    [
        ("binance-spot", "spot", "BTCUSDT", b"", 1),
        ("binance-spot", "spot", "BTCUSDT", b"", 1000),
        ("binance-usdm", "futures/um", "BTCUSDT", days.USDM_HEADER, 1000),
        ("binance-usdm", "futures/um", "BTCUSDT", b"", 1000),
        ("binance-coinm", "futures/cm", "BTCUSD_PERP", days.USDM_HEADER, 1000),
    ],
)
def test_every_market_of_binance(archive: Archive, venue: str, section: str, symbol: str, header: bytes, unit: int) -> None:
    path = f"/data/{section}/daily/aggTrades/{symbol}/{symbol}-aggTrades-{DATE}.zip"
    trades = [t._replace(size="7") for t in days.day()]
    archive.shelf.checked(path, packed(path, days.agg(trades, header=header, unit=unit, best=venue == "binance-spot")))
    found = archive.rows(venue, symbol)
    check(found, trades)
    if venue == "binance-coinm":
        assert found["size"].tolist() == [round(700 / float(t.price) * 1e8) / 1e8 for t in trades]


def test_what_is_there_does_not_come_again(archive: Archive) -> None:
    archive.shelf.checked(DAILY, packed(DAILY, days.agg(days.day())))
    first, second = archive.day(), archive.day()
    assert first.digest == second.digest
    assert archive.shelf.count(DAILY) == 1
    assert archive.shelf.count(f"{DAILY}.CHECKSUM") == 2


def test_a_file_issued_anew_is_noticed(archive: Archive) -> None:
    archive.shelf.checked(DAILY, packed(DAILY, days.agg(days.day(seed=1))))
    first = archive.day().digest
    trades = days.day(seed=2)
    archive.shelf.checked(DAILY, packed(DAILY, days.agg(trades)))
    assert archive.day().digest != first
    check(archive.rows(), trades)


def test_a_wrong_checksum_is_fetched_once_more_then_refused(archive: Archive) -> None:
    archive.shelf.checked(DAILY, packed(DAILY, days.agg(days.day())))
    archive.shelf.files[DAILY] += b"x"
    with pytest.raises(ArchiveError, match=r"its SHA-256 is .* its checksum file says .*, twice"):
        archive.day()
    assert archive.shelf.count(DAILY) == 2
    assert not archive.kept(DAILY).exists()


def test_a_month_stands_in_for_a_missing_day(archive: Archive) -> None:
    months = [t for date in (BEFORE, DATE, NEXT) for t in days.day(date)]
    interleaved = [t for pair in zip(months[:750], months[750:], strict=True) for t in pair]
    archive.shelf.checked(MONTHLY, packed(MONTHLY, days.agg(interleaved)))
    check(archive.rows(), days.day())


def test_a_trade_that_stands_in_two_months_is_taken_once(archive: Archive) -> None:
    """The last trade of a month stands at the head of the next month's file as well."""
    last, first = dt.date(2026, 10, 31), dt.date(2026, 11, 1)
    october, november = days.day(last), days.day(first)
    for date, trades in ((last, october), (first, [october[-1], *november])):
        path = f"/data/futures/um/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-{date:%Y-%m}.zip"
        archive.shelf.checked(path, packed(path, days.agg(trades)))
    check(archive.rows(date=last), october)
    check(archive.rows(date=first), november)


def test_a_missing_day_is_told(archive: Archive) -> None:
    with pytest.raises(MissingError, match=rf"no file of BTC-USDT-PERP \(yet\): http://.*{DAILY} answers 404"):
        archive.day()


def test_busy_then_well(archive: Archive) -> None:
    archive.shelf.checked(DAILY, packed(DAILY, days.agg(days.day())))
    archive.shelf.busy = {DAILY: 2, f"{DAILY}.CHECKSUM": 1}
    check(archive.rows(), days.day())
    assert sum("503" in told for told in archive.told) == 3


def test_patience_ends(archive: Archive) -> None:
    archive.shelf.busy = {f"{DAILY}.CHECKSUM": 99}
    with pytest.raises(ArchiveError, match=r"503.*try again later"):
        archive.day()
    assert archive.shelf.count(f"{DAILY}.CHECKSUM") == QUICK.attempts


def test_what_is_kept_is_used_while_the_archive_is_silent(archive: Archive) -> None:
    archive.shelf.checked(DAILY, packed(DAILY, days.agg(days.day())))
    archive.day()
    archive.shelf.busy = {f"{DAILY}.CHECKSUM": 99}
    check(archive.rows(), days.day())
    assert "kept as it is" in archive.told[-1]


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no ranges"])
@pytest.mark.parametrize("tags", [True, False], ids=["tags", "no tags"])
def test_a_cut_download_goes_on(archive: Archive, ranges: bool, tags: bool) -> None:
    archive.shelf.ranges, archive.shelf.tags = ranges, tags
    archive.shelf.checked(DAILY, packed(DAILY, days.agg(days.day(n=3000))))
    archive.shelf.cut = {DAILY: [5_000, 7_000]}
    check(archive.rows(), days.day(n=3000))
    asked = [told for path, told in archive.shelf.asked if path == DAILY]
    assert asked == ["", "bytes=5000-", "bytes=12000-" if ranges else "bytes=7000-"]


def test_a_download_cut_by_a_kill_goes_on_only_with_the_same_issue(archive: Archive) -> None:
    old, trades = packed(DAILY, days.agg(days.day(n=3000, seed=1))), days.day(n=3000, seed=2)
    kept = archive.kept(DAILY)
    kept.parent.mkdir(parents=True)
    kept.with_name(kept.name + ".part").write_bytes(old[:5000])
    kept.with_name(kept.name + ".part.tag").write_text('"of another issue"')
    archive.shelf.checked(DAILY, packed(DAILY, days.agg(trades)))
    check(archive.rows(), trades)


def test_a_file_without_its_card_is_verified_again(archive: Archive) -> None:
    archive.shelf.checked(DAILY, packed(DAILY, days.agg(days.day())))
    archive.day()
    kept = archive.kept(DAILY)
    kept.with_name(kept.name + ".json").unlink()
    archive.day()
    assert archive.shelf.count(DAILY) == 1
    kept.write_bytes(kept.read_bytes()[:-10])
    check(archive.rows(), days.day())
    assert archive.shelf.count(DAILY) == 2


@pytest.mark.parametrize("code", [401, 403, 451, 400])
def test_a_refusal_is_told_at_once(archive: Archive, code: int) -> None:
    archive.shelf.status = {f"{DAILY}.CHECKSUM": code}
    with pytest.raises(ArchiveError, match=f"answers {code}"):
        archive.day()
    assert len(archive.shelf.asked) == 1


def test_no_checksum_is_told_from_garbage(archive: Archive) -> None:
    archive.shelf.checked(DAILY, packed(DAILY, days.agg(days.day())))
    archive.shelf.files[f"{DAILY}.CHECKSUM"] = b"<html>hello</html>"
    with pytest.raises(ArchiveError, match="is no checksum"):
        archive.day()


def test_okx_has_a_date_in_two_files(archive: Archive) -> None:
    trades = [t for date in (BEFORE, DATE, NEXT) for t in days.day(date)]
    paths = []
    for date in (DATE, NEXT):
        begin = days.start(date) - 28_800_000_000
        mine = [t for t in trades if begin <= t.us < begin + 86_400_000_000]
        path = f"/cdn/okex/traderecords/trades/daily/{date:%Y%m%d}/BTC-USDT-trades-{date}.zip"
        paths.append(archive.shelf.put(path, packed(path, days.okx(mine))))
    day = archive.day("okx", "BTC-USDT")
    assert day.tape == "fill"
    check(joined(list(day.pieces())), days.day())
    again = archive.day("okx", "BTC-USDT")
    assert again.digest == day.digest
    assert [told for path, told in archive.shelf.asked if path == paths[0]][1].startswith('"')
    del archive.shelf.files[paths[1]]
    assert archive.day("okx", "BTC-USDT").digest == day.digest  # what was fetched stays
    with pytest.raises(MissingError, match=str(NEXT + dt.timedelta(1))):
        archive.day("okx", "BTC-USDT", date=NEXT)


def test_bybits_days_are_read_with_those_beside(archive: Archive) -> None:
    """Wherever its days begin: here 4 hours before those of UTC."""
    trades = [t for date in (BEFORE, DATE, NEXT) for t in days.day(date)]
    for date in (BEFORE, DATE, NEXT):
        begin = days.start(date) - 14_400_000_000
        mine = [t for t in trades if begin <= t.us < begin + 86_400_000_000]
        archive.shelf.put(f"/trading/BTCUSDT/BTCUSDT{date}.csv.gz", days.gzipped(days.bybit(mine, backward=date == DATE)))
    day = archive.day("bybit-linear")
    check(joined(list(day.pieces())), days.day())
    assert day.source == f"BTCUSDT{DATE}.csv.gz,BTCUSDT{NEXT}.csv.gz"


@pytest.mark.parametrize(("hours", "beside"), [(3, BEFORE), (-3, NEXT)])
@pytest.mark.parametrize("in_folder", [False, True])
def test_a_date_of_which_a_file_beside_lacks_is_not_taken_in_part(
    archive: Archive, tmp_path: Path, hours: int, beside: dt.date, in_folder: bool
) -> None:
    """Days that begin at 3:00 or at 21:00 UTC: the file of the date's name holds 21 hours of it."""
    first, last = days.start(DATE) + hours * 3_600_000_000, days.start(NEXT) + hours * 3_600_000_000
    trades = [t for date in (BEFORE, DATE, NEXT) for t in days.day(date)]
    mine = [t for t in trades if first <= t.us < last]
    rest = [t for t in trades if t.us < first] if beside == BEFORE else [t for t in trades if t.us >= last]
    names = [f"/trading/BTCUSDT/BTCUSDT{date}.csv.gz" for date in (DATE, beside)]
    bodies = [days.gzipped(days.bybit(some)) for some in (mine, rest)]

    def put(k: int) -> ArchiveDay:
        archive.shelf.put(names[k], bodies[k])
        (tmp_path / names[k].rpartition("/")[2]).write_bytes(bodies[k])
        return folder_day(tmp_path, "bybit-linear") if in_folder else archive.day("bybit-linear")

    with pytest.raises(MissingError, match=f"the rest of the date is not there .yet.: {names[1]}"):
        put(0)
    assert joined(list(put(1).pieces())).size == len(days.day())


def test_bybits_days_of_utc_need_no_other_file(archive: Archive) -> None:
    for date in (BEFORE, DATE, NEXT):
        archive.shelf.put(f"/spot/BTCUSDT/BTCUSDT_{date}.csv.gz", days.gzipped(days.bybit_spot(days.day(date))))
    day = archive.day("bybit-spot")
    check(joined(list(day.pieces())), days.day())
    assert day.source == f"BTCUSDT_{DATE}.csv.gz"
    del archive.shelf.files[f"/spot/BTCUSDT/BTCUSDT_{NEXT}.csv.gz"]
    assert archive.day("bybit-spot").digest == day.digest


def test_a_damaged_file_without_checksum_is_fetched_once_more(archive: Archive) -> None:
    path = f"/trading/BTCUSDT/BTCUSDT{DATE}.csv.gz"
    archive.shelf.put(path, days.gzipped(days.bybit(days.day(n=3000)))[:-900])
    with pytest.raises(ArchiveError, match=r"damaged or cut short.*twice"):
        archive.day("bybit-linear")
    assert archive.shelf.count(path) == 2
    assert not archive.kept(path, "bybit-linear").exists()


def test_several_symbols_one_of_which_is_missing(archive: Archive) -> None:
    archive.shelf.checked(DAILY, packed(DAILY, days.agg(days.day())))
    with pytest.raises(MissingError, match="ETH-USDT-PERP"):
        archive.day("binance-usdm", "BTCUSDT", "ETHUSDT")
    path = DAILY.replace("BTC", "ETH")
    archive.shelf.checked(path, packed(path, days.agg(days.day(seed=1))))
    found = archive.rows("binance-usdm", "BTCUSDT", "ETHUSDT")
    assert (np.diff(found["ts"]) >= 0).all()
    check(found[found["instrument"] == 1], days.day(seed=1))


def test_a_venue_without_an_archive(archive: Archive) -> None:
    with pytest.raises(ValueError, match=r"set archives\.kraken to a folder"):
        fetch_day(Settings(data=archive.data), Day(DATE, "kraken"), ["BTC-USD"])
    with pytest.raises(ValueError, match="no archive of trades in the layout"):
        archive.day("kraken", "BTC-USD")
    with pytest.raises(ArchiveError, match="is no folder"):
        fetch_day(Settings(data=archive.data, archives={"kraken": str(archive.data / "no")}), Day(DATE, "kraken"), ["BTC-USD"])


def folder_day(folder: Path, venue: str = "binance-usdm", symbol: str = "BTCUSDT") -> ArchiveDay:
    return fetch_day(Settings(archives={venue: str(folder)}), Day(DATE, venue), [symbol])


@pytest.mark.parametrize("name", [DAILY.lstrip("/"), DAILY.rpartition("/")[2], f"BTCUSDT-aggTrades-{DATE}.csv", MONTHLY[1:]])
def test_a_folder_in_the_archives_layout(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = days.agg(days.day())
    path.write_bytes(packed(name, content) if name.endswith(".zip") else content)
    check(joined(list(folder_day(tmp_path).pieces())), days.day())


def test_a_folder_of_tardis_files(tmp_path: Path) -> None:
    month = [t for date in (BEFORE, DATE, NEXT) for t in days.day(date)]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "binance-futures_trades_2026-11_BTCUSDT.csv.gz").write_bytes(days.gzipped(days.tardis(month)))
    (tmp_path / f"binance-futures_trades_{NEXT}_BTCUSDT.csv.gz").write_bytes(b"not looked at")
    (tmp_path / f"binance-futures_trades_{DATE}_ETHUSDT.csv.gz").write_bytes(b"not looked at")
    day = folder_day(tmp_path)
    assert (day.tape, day.source) == ("fill", "binance-futures_trades_2026-11_BTCUSDT.csv.gz")
    check(joined(list(day.pieces())), days.day())
    with pytest.raises(MissingError, match="holds no file of SOLUSDT"):
        folder_day(tmp_path, symbol="SOLUSDT")


def test_a_damaged_file_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"BTCUSDT-aggTrades-{DATE}.zip").write_bytes(packed(DAILY, days.agg(days.day()))[:-40])
    with pytest.raises(SourceError, match="damaged or cut short"):
        folder_day(tmp_path)


def test_a_folder_of_ftx_files(tmp_path: Path) -> None:
    """What tardis sold, and what REST answered as CSV, newest first; a trade in both is taken once."""
    trades = days.day(n=60)
    (tmp_path / f"ftx_trades_{DATE}_BTC-PERP.csv.gz").write_bytes(days.gzipped(days.tardis(trades[:40], "ftx", "BTC-PERP")))
    (tmp_path / "btc_perp.csv").write_bytes(days.ftx(trades[30:][::-1]))
    (tmp_path / f"ftx_trades_{DATE}_ETH-PERP.csv.gz").write_bytes(b"not looked at")
    day = folder_day(tmp_path, "ftx", "BTC-PERP")
    found = joined(list(day.pieces()))
    check(found, trades)
    assert (day.tape, day.duplicates, day.faults) == ("fill", 10, 0)


@pytest.mark.parametrize(
    ("venue", "symbol", "mine", "others"),
    [
        ("ftx", "FTT/USD", "FTT-USD_{}.csv", ["FTT-USDT_{}.csv", "FTT-USD-PERP_{}.csv", "WFTT-USD_{}.csv"]),
        ("ftx", "ETH-PERP", "ethperp{}.csv", ["STETH-PERP_{}.csv", "1000ETH-PERP_{}.csv"]),
        ("binance-usdm", "ETHUSDT", "binance-futures_trades_{}_ETHUSDT.csv", ["binance-futures_trades_{}_STETHUSDT.csv"]),
    ],
)
def test_a_file_of_another_instrument_is_not_read(tmp_path: Path, venue: str, symbol: str, mine: str, others: list[str]) -> None:
    """Where lines name no symbol, a tape of two markets would come of it."""
    trades = days.day(n=20)
    content = days.ftx(trades) if venue == "ftx" else days.tardis(trades, symbol=symbol)
    (tmp_path / mine.format(DATE)).write_bytes(content)
    for name in others:
        (tmp_path / name.format(DATE)).write_bytes(days.ftx([t._replace(id=t.id + 1000) for t in trades]))
    day = folder_day(tmp_path, venue, symbol)
    assert day.source == mine.format(DATE)
    check(joined(list(day.pieces())), trades)


def test_when_the_archive_says_it_wants_to_be_asked_again() -> None:
    soon = email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1), usegmt=True)
    for told, least, most in (("7", 7, 7), ("soon", 0, 0), (soon, 3000, 3600), (None, 0, 0)):
        answer = httpx.Response(503, headers={"Retry-After": told} if told else {})
        assert least <= download._retry_after(answer) <= most


def test_a_redirect_is_followed_but_not_in_a_circle(archive: Archive) -> None:
    content = packed(DAILY, days.agg(days.day()))
    archive.shelf.checked("/moved", content)
    archive.shelf.checked(DAILY, content)
    archive.shelf.moved = {DAILY: "/moved"}
    check(archive.rows(), days.day())
    assert archive.shelf.count("/moved") == 1
    archive.shelf.moved = {f"{DAILY}.CHECKSUM": f"{DAILY}.CHECKSUM"}
    with pytest.raises(ArchiveError, match="redirects more than 5 times"):
        archive.day()


def test_requests_to_a_host_keep_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(download, "_next_turn", {})
    monkeypatch.setattr(download, "time", SimpleNamespace(sleep=slept.append, monotonic=lambda: 100.0))  # not of other threads
    for host in ("a.example", "a.example", "b.example", "127.0.0.1", "a.example"):
        download._wait_turn(host, 0.5)
    assert slept == [0.0, 0.5, 0.0, 1.0]
