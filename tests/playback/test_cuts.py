"""The line is cut while trading goes on: what was missed is fetched where the venue still has it, and marked where not."""

from __future__ import annotations

import polars as pl
import pytest

from tests.playback.market import Market
from tests.playback.run import Played, Told, everything, play
from tests.playback.test_paths import MADE

CUT = (90, 40)
"""Before which frame, and how many frames are missed."""
SHOWN = 3
"""Trades that Bybit's REST shows of its derivatives here: too few to reach back."""


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(everything(SHOWN), tmp_path_factory.mktemp("cut"), CUT)


def reaches(told: Told) -> bool:
    """Whether REST reaches back to before the cut."""
    return told.venue not in ("bybit-linear", "bybit-inverse")


@pytest.mark.parametrize("told", MADE.values(), ids=list(MADE))
class TestCut:
    """One cut, at every venue."""

    def test_what_was_missed_is_fetched_where_the_venue_has_it(self, cut: Played, told: Told) -> None:
        rows = cut.rows("trades", told.venue, told.symbol).filter(pl.col("counted")).sort("ts", "seq")
        truth = [t.ms for t in Market().trades()]
        found = rows["ts"].dt.epoch("ms").to_list()
        if reaches(told):
            assert found == truth
            assert rows["flags"].list.contains("repaired").sum() > 0
        else:
            assert len(found) < len(truth)
            assert len(found) == len(set(found)), "nothing doubled"
            assert set(found) < set(truth)

    def test_the_ledger_says_what_became_of_it(self, cut: Played, told: Told) -> None:
        gaps = cut.rows("gaps", told.venue, told.symbol).filter(pl.col("feed") == "trades")
        assert gaps["status"].to_list() == ["repaired" if reaches(told) else "unfillable"]

    def test_bars_are_marked(self, cut: Played, told: Told) -> None:
        """A bar that lacks trades of the market says so; so do one that was repaired and one that took in late ones."""
        bars = cut.rows("bars", told.venue, told.symbol).filter(pl.col("bar") == "1s").sort("ts")
        truth, had, lacking = [t.ms for t in Market().trades()], 0, 0
        for bar in bars.iter_rows(named=True):
            start, end = (round(bar[name].timestamp() * 1000) for name in ("ts", "end"))
            if bar["quality"] in ("complete", "repaired"):
                assert had == sum(ms < start for ms in truth), "what bars lack that the clock closed is in one that is late"
            had, due = had + bar["trades"], sum(ms < end for ms in truth)
            if bar["quality"] == "gap":
                lacking += due - had
                had = due
            elif bar["quality"] == "late" and due < had <= due + lacking:
                lacking -= had - due
                had = due
        assert had == due
        assert ("repaired" if reaches(told) else "gap") in bars["quality"].to_list()[1:]

    def test_books_are_never_crossed(self, cut: Played, told: Told) -> None:
        rows = cut.rows("book", told.venue, told.symbol)
        assert (rows["bids"].list.first() < rows["asks"].list.first()).all()
        last = Market().events[-3]
        assert rows["ts"].dt.epoch("ms").max() > last.ms - 3000, "the book came back"  # type: ignore[operator]
