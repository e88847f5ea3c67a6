"""From socket to lake at every venue: a recorder and a flow of their own, on real sockets behind each venue's handshake.

Recorded captures are played where there are any of the protocols built: Binance's three markets and OKX. Those with receive times
hold single trades of Binance; we record aggregates, so each is told as one. Of Bybit, Coinbase and Kraken v2 there is no capture
(Kraken's is of v1): theirs are runs made of frames in the documented form.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import polars as pl
import pytest

from pipelines.venues import venue as venue_named
from tests.conftest import SHARED
from tests.playback import binance, okx
from tests.playback.market import TICK, Forced, Funding, Market, Quote
from tests.playback.run import Played, Told, everything, play
from tests.playback.server import Script

MADE = {
    "binance_spot-made_of_frames": Told("binance-spot", "BTC-USDT"),
    "binance_usdm-made_of_frames": Told("binance-usdm", "BTC-USDT-PERP"),
    "binance_coinm-made_of_frames": Told("binance-coinm", "BTC-USD-PERP", "100", inverse=True),
    "okx_spot-made_of_frames": Told("okx", "BTC-USDT", "1"),
    "okx_swap-made_of_frames": Told("okx", "BTC-USDT-PERP", "0.01"),
    "okx_inverse-made_of_frames": Told("okx", "BTC-USD-PERP", "100", inverse=True),
    "bybit_spot-made_of_frames": Told("bybit-spot", "BTC-USDT"),
    "bybit_linear-made_of_frames": Told("bybit-linear", "BTC-USDT-PERP"),
    "bybit_inverse-made_of_frames": Told("bybit-inverse", "BTC-USD-PERP", "1", inverse=True),
    "coinbase_exchange-made_of_frames": Told("coinbase", "BTC-USD", history=1),
    "coinbase_advanced-made_of_frames": Told("coinbase-advanced", "BTC-USD", history=3),
    "kraken_v2-made_of_frames": Told("kraken", "BTC-USD", history=3),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(everything(), tmp_path_factory.mktemp("made"))


def offered(told: Told, feed: str) -> bool:
    """Whether a feed is there; spot instruments have no forced orders and no funding."""
    return feed in venue_named(told.venue).rules.feeds and (told.symbol.endswith("-PERP") or feed in ("quotes", "book"))


@pytest.mark.parametrize("told", MADE.values(), ids=list(MADE))
class TestMade:
    """A made-up market, told in each venue's words."""

    def test_trades(self, made: Played, told: Told) -> None:
        """Each trade once, the taker's side, sizes in base; what was replayed on subscribe does not count."""
        rows = made.rows("trades", told.venue, told.symbol).sort("ts", "seq")
        counted = rows.filter(pl.col("counted"))
        truth = Market().trades()
        assert counted["ts"].dt.epoch("ms").to_list() == [t.ms for t in truth]
        assert counted["price"].to_list() == [float(Fraction(t.ticks, TICK)) for t in truth]
        assert counted["size"].to_list() == [told.base(t) for t in truth]
        assert counted["side"].to_list() == [1 if t.buy else -1 for t in truth]
        assert len(rows) - len(counted) == told.history
        if (told.contract and told.contract != "1") or told.inverse:
            assert counted["contracts"].to_list() == [float(t.lots) for t in truth]

    def test_nothing_is_missing_and_nothing_was_refused(self, made: Played, told: Told) -> None:
        gaps = made.rows("gaps", told.venue, told.symbol).filter(pl.col("feed") == "trades")
        assert gaps.is_empty()
        refused = made.rows("quarantine", told.venue)
        assert refused.is_empty(), refused["reason"].to_list()

    def test_bars_hold_the_volume_of_the_tape(self, made: Played, told: Told) -> None:
        """All but the bar that was open at the end."""
        bars = made.rows("bars", told.venue, told.symbol).filter(pl.col("bar") == "1s")
        truth = [t for t in Market().trades() if t.ms < bars["end"].dt.epoch("ms").max()]  # type: ignore[operator]
        assert bars["trades"].sum() == len(truth)
        assert bars["volume"].sum() == pytest.approx(sum(told.base(t) for t in truth), rel=1e-12)

    def test_quotes(self, made: Played, told: Told) -> None:
        rows = made.rows("quotes", told.venue, told.symbol).sort("seq")
        truth = [event for event in Market().events if isinstance(event, Quote)]
        assert rows["bid"].to_list() == [float(Fraction(q.bid, TICK)) for q in truth]
        assert rows["ask"].to_list() == [float(Fraction(q.ask, TICK)) for q in truth]
        assert rows["bid_size"].null_count() == 0

    def test_books_are_never_crossed(self, made: Played, told: Told) -> None:
        rows = made.rows("book", told.venue, told.symbol)
        assert len(rows) > 0
        assert (rows["bids"].list.first() < rows["asks"].list.first()).all()
        assert rows["bids"].list.eval(pl.element().diff().fill_null(-1) < 0).list.all().all()
        assert rows["asks"].list.eval(pl.element().diff().fill_null(1) > 0).list.all().all()
        assert rows["bids"].list.len().is_between(15, 20).all(), "Kraken's is cut at 25, of which some go"

    def test_forced_orders(self, made: Played, told: Told) -> None:
        rows = made.rows("liquidations", told.venue, told.symbol).sort("seq")
        truth = [event for event in Market().events if isinstance(event, Forced)] if offered(told, "liquidations") else []
        assert rows["side"].to_list() == [-1 if f.long else 1 for f in truth]
        assert rows["size"].to_list() == [told.base(f) for f in truth]

    def test_funding(self, made: Played, told: Told) -> None:
        rows = made.rows("funding", told.venue, told.symbol).sort("seq")
        truth = [event for event in Market().events if isinstance(event, Funding)] if offered(told, "funding") else []
        assert rows["rate"].drop_nulls().unique(maintain_order=True).to_list() == [f.rate / 10**6 for f in truth]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Played:
    captures = SHARED / "captures"
    scripts: list[Script] = [
        binance.recorded("binance-spot", "/api/v3", captures / "BINANCE.jsonl.zst"),
        binance.recorded("binance-usdm", "/fapi/v1", captures / "BINANCE_FUTURES.jsonl.zst"),
        okx.recorded(captures / "OKX.jsonl.zst"),
    ]
    return play(scripts, tmp_path_factory.mktemp("recorded"))


CAPTURES = {
    "binance_spot-recorded_capture": ("binance-spot", 2),
    "binance_usdm-recorded_capture": ("binance-usdm", 91),
    "okx-recorded_capture": ("okx", 74),
}


@pytest.mark.real
@pytest.mark.parametrize(("venue", "trades"), CAPTURES.values(), ids=list(CAPTURES))
class TestRecorded:
    """Recorded captures, behind the venue's handshake."""

    def test_every_trade_of_the_capture_is_in_the_lake(self, recorded: Played, venue: str, trades: int) -> None:
        rows = recorded.rows("trades", venue)
        assert len(rows) == trades
        assert rows["trade_id"].n_unique() == trades or venue == "okx"
        assert recorded.rows("quarantine", venue).is_empty()

    def test_books_are_never_crossed(self, recorded: Played, venue: str, trades: int) -> None:
        rows = recorded.rows("book", venue).filter(pl.col("bids").list.len().gt(0) & pl.col("asks").list.len().gt(0))
        assert len(rows) > 0
        assert (rows["bids"].list.first() < rows["asks"].list.first()).all()


TOLD = {
    "binance_spot-recorded_capture_of_trades_told_as_aggregates": ("binance-spot", "spot_btcusdt_20240808.gz", ""),
    "binance_usdm-recorded_capture_of_trades_told_as_aggregates": ("binance-usdm", "usdm_btcusdt_20240718.gz", ""),
    "binance_coinm-recorded_capture_of_trades_told_as_aggregates": ("binance-coinm", "cm_btcusd_perp_20240808.gz", "100"),
}
APIS = {"binance-spot": "/api/v3", "binance-usdm": "/fapi/v1", "binance-coinm": "/dapi/v1"}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Played, dict[str, binance.Binance]]:
    scripts = {}
    for venue, name, contract in TOLD.values():
        native = "BTCUSD_PERP" if contract else "BTCUSDT"
        listed = binance.listing(native, "BTC", "USD" if contract else "USDT", contract=contract, futures=venue != "binance-spot")
        scripts[venue] = binance.told_as_aggregates(venue, APIS[venue], SHARED / "captures" / name, listed, 2_500)
    return play(list(scripts.values()), tmp_path_factory.mktemp("told")), scripts


@pytest.mark.real
@pytest.mark.parametrize(("venue", "name", "contract"), TOLD.values(), ids=list(TOLD))
class TestTold:
    """Recorded captures of single trades, where we record aggregates: the first frames of each."""

    def test_trades_are_those_of_the_capture(self, told: Any, venue: str, name: str, contract: str) -> None:
        played, scripts = told
        (truth,) = scripts[venue].aggregates.values()
        rows = played.rows("trades", venue).sort("ts", "seq")
        assert rows["trade_id"].to_list() == [row["a"] for row in truth]
        assert rows["price"].to_list() == [float(row["p"]) for row in truth]
        assert rows["side"].to_list() == [-1 if row["m"] else 1 for row in truth]
        amounts = rows["contracts" if contract else "size"]
        assert amounts.to_list() == [float(row["q"]) for row in truth]
        if contract:
            values = [Fraction(row["q"]) * int(contract) / Fraction(row["p"]) for row in truth]
            assert rows["size"].to_list() == [float(Fraction(round(value * 10**8), 10**8)) for value in values]

    def test_nothing_is_missing_and_nothing_was_refused(self, told: Any, venue: str, name: str, contract: str) -> None:
        played, _ = told
        assert played.rows("gaps", venue).filter(pl.col("feed") == "trades").is_empty()
        assert played.rows("quarantine", venue).is_empty()

    def test_books_are_never_crossed(self, told: Any, venue: str, name: str, contract: str) -> None:
        rows = told[0].rows("book", venue).filter(pl.col("bids").list.len().gt(0) & pl.col("asks").list.len().gt(0))
        assert len(rows) > 0
        assert (rows["bids"].list.first() < rows["asks"].list.first()).all()

    def test_quotes_are_those_of_the_capture(self, told: Any, venue: str, name: str, contract: str) -> None:
        played, scripts = told
        truth = [json.loads(frame.text)["data"] for frame in scripts[venue].frames if frame.key.endswith("@bookTicker")]
        rows = played.rows("quotes", venue).sort("seq")
        assert rows["bid"].to_list() == [float(row["b"]) for row in truth]
        assert rows["ask"].to_list() == [float(row["a"]) for row in truth]
