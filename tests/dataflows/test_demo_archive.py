"""The exchange's archive: a finished day, whole, verified, always the same bytes; read by the venue's own reader."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from assets.archives import MissingError, fetch_day
from dataflows.demo.archive import ROOT, Archive
from dataflows.demo.clock import Clock
from dataflows.demo.market import GENESIS_MS, Market
from dataflows.demo.server import Exchange
from dataflows.demo.tape import DAY_MS
from pipelines.history.day import Day
from pipelines.settings import Settings
from pipelines.tape import joined

START = GENESIS_MS + 700 * DAY_MS
DATE = dt.datetime.fromtimestamp(START / 1000, dt.UTC).date()
PATH = f"{ROOT}BTCUSDT/BTCUSDT-aggTrades-{DATE}.zip"


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(7, ("BTC-USDT", "ETH-USDT"), 0.05)


def at(market: Market, ms: int) -> Archive:
    return Archive(market, Clock(origin_ms=ms))


def test_a_day_and_its_checksum(market: Market) -> None:
    content = at(market, START + 2 * DAY_MS).answer(PATH)
    checksum = at(market, START + 5 * DAY_MS).answer(f"{PATH}.CHECKSUM")
    assert (content.status, checksum.status) == (200, 200)
    assert checksum.body == f"{hashlib.sha256(content.body).hexdigest()}  {PATH.rpartition('/')[2]}\n".encode()


@pytest.mark.parametrize(
    "path",
    [
        PATH.replace("BTC", "XXX"),
        PATH.replace("BTCUSDT-", "ETHUSDT-"),
        PATH.replace(str(DATE), "2026-02-30"),
        f"{ROOT}x",
        PATH + "x",
    ],
)
def test_what_there_is_not(market: Market, path: str) -> None:
    assert at(market, START + 2 * DAY_MS).answer(path).status == 404


def test_a_day_that_is_not_over_or_was_before_the_beginning(market: Market) -> None:
    assert at(market, START + DAY_MS - 1).answer(PATH).status == 404
    assert at(market, START + 2 * DAY_MS).answer(PATH.replace(str(DATE), "1990-01-01")).status == 404


def test_a_day_is_backfilled_from_it(market: Market, tmp_path: Path) -> None:
    """Over HTTP, by the way that every venue's days take: its trades are those of the tape."""

    async def fetch() -> None:
        exchange = Exchange(market, Clock(origin_ms=START + 2 * DAY_MS), [])
        async with exchange.serving(0) as port:
            settings = Settings(data=tmp_path, endpoints={"demo": f"http://127.0.0.1:{port}"})
            tape = await asyncio.to_thread(fetch_day, settings, Day(DATE, "demo"), ["BTC-USDT"])
            rows = joined(list(tape.pieces()))
            first, stop = (market.id_at("BTCUSDT", START + days * DAY_MS) for days in (0, 1))
            wanted = market.trades("BTCUSDT", first, stop)
            np.testing.assert_array_equal(rows["trade_id"], wanted.id)
            np.testing.assert_array_equal(rows["ts"], wanted.time * 1000)
            np.testing.assert_array_equal(rows["size"], wanted.size / 1000)
            np.testing.assert_array_equal(rows["side"] < 0, wanted.sell)
            assert tape.holes == []
            with pytest.raises(MissingError):
                await asyncio.to_thread(fetch_day, settings, Day(DATE + dt.timedelta(2), "demo"), ["BTC-USDT"])

    asyncio.run(fetch())
    (kept,) = (tmp_path / "archive").rglob("*.zip")
    assert zipfile.ZipFile(kept).testzip() is None
