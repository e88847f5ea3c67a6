"""A venue loses messages while the socket stays open: its own count of them is all that shows it."""

from __future__ import annotations

import polars as pl
import pytest

from tests.playback.coinbase import PRODUCT, Advanced
from tests.playback.market import TICK, Market
from tests.playback.run import Played, play

VENUE = "coinbase-advanced"


def losing() -> Advanced:
    """Return a run of Advanced Trade that loses trades, quotes and, later, updates of the book."""
    script = Advanced()
    books = [k for k, frame in enumerate(script.frames) if frame.key == f"level2:{PRODUCT}"]
    others = [k for k, frame in enumerate(script.frames) if frame.key != f"level2:{PRODUCT}"]
    for k in [*others[20:40], *books[25:45]]:
        script.frames[k] = script.frames[k]._replace(lost=True)
    return script


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play([losing()], tmp_path_factory.mktemp("lost"))


def test_the_sockets_that_lost_messages_are_opened_anew(played: Played) -> None:
    assert played.said.count("messages before") == 2


def test_trades_that_were_lost_are_fetched(played: Played) -> None:
    rows = played.rows("trades", VENUE).filter(pl.col("counted")).sort("ts", "seq")
    assert rows["ts"].dt.epoch("ms").to_list() == [trade.ms for trade in Market().trades()]
    gaps = played.rows("gaps", VENUE).filter(pl.col("feed") == "trades")
    assert gaps["status"].to_list() == ["repaired"]


def test_the_book_that_lost_updates_is_marked_and_built_anew(played: Played) -> None:
    gaps = played.rows("gaps", VENUE).filter(pl.col("feed") == "book")
    assert gaps["status"].to_list() == ["unfillable"]
    rows = played.rows("book", VENUE).sort("ts")
    after = [Market().book(update.ms) for update in Market().updates[40:]]
    told = [(sorted(book.bids, reverse=True)[:20], sorted(book.asks)[:20]) for book in after]
    assert [[round(p * TICK) for p in rows[side][-1]] for side in ("bids", "asks")] in [list(pair) for pair in told]
