"""Names of instruments, told by their quote asset."""

from __future__ import annotations

import pytest

from pipelines.market import Instrument
from pipelines.venues.binance_names import guess, guess_inverse


@pytest.mark.parametrize(
    ("text", "symbol", "native"),
    [
        ("BTCUSDT", "BTC-USDT-PERP", "BTCUSDT"),
        ("1000pepeusdt", "1000PEPE-USDT-PERP", "1000PEPEUSDT"),
        ("BTCFDUSD", "BTC-FDUSD-PERP", "BTCFDUSD"),
        ("BTCUSDT_240628", "BTC-USDT-240628", "BTCUSDT_240628"),
        ("BTC-USDT-240628", "BTC-USDT-240628", "BTCUSDT_240628"),
        ("BTC-USDT-PERP", "BTC-USDT-PERP", "BTCUSDT"),
    ],
)
def test_contracts_are_guessed(text: str, symbol: str, native: str) -> None:
    found = guess(text, "binance-usdm", "-PERP")
    assert (found.symbol, found.native, found.venue) == (symbol, native, "binance-usdm")


def test_pairs_are_guessed() -> None:
    assert guess("XRPETH", "binance-spot", "")[:5] == ("binance-spot", "XRP-ETH", "XRPETH", "XRP", "ETH")


@pytest.mark.parametrize(
    ("text", "perpetual", "fault"),
    [
        ("BTC-USDT", "-PERP", "did you mean BTC-USDT-PERP"),
        ("BTC-USDT-PERP", "", "did you mean BTC-USDT"),
        ("BTCUSD_PERP", "-PERP", "COIN-M"),
        ("USDT", "", "cannot tell base from quote"),
        ("ABCXYZ", "", "cannot tell base from quote"),
        ("", "", "cannot tell base from quote"),
    ],
)
def test_what_cannot_be_guessed_says_why(text: str, perpetual: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        guess(text, "venue", perpetual)


@pytest.mark.parametrize(
    ("text", "symbol", "native", "contract"),
    [
        ("BTCUSD_PERP", "BTC-USD-PERP", "BTCUSD_PERP", "100"),
        ("btc-usd-perp", "BTC-USD-PERP", "BTCUSD_PERP", "100"),
        ("ETHUSD_251226", "ETH-USD-251226", "ETHUSD_251226", "10"),
        ("ETH-USD-251226", "ETH-USD-251226", "ETHUSD_251226", "10"),
    ],
)
def test_inverse_contracts_are_guessed_with_what_one_is_worth(text: str, symbol: str, native: str, contract: str) -> None:
    base = symbol.partition("-")[0]
    expected = Instrument("binance-coinm", symbol, native, base, "USD", contract=contract, inverse=True)
    assert guess_inverse(text, "binance-coinm") == expected


@pytest.mark.parametrize("text", ["BTCUSDT", "BTC-USD", "BTCUSD", "USD_PERP", "BTC-USDT-PERP", "", "BTC_USD_PERP"])
def test_what_is_no_inverse_contract_says_how_they_are_called(text: str) -> None:
    with pytest.raises(ValueError, match="called like BTC-USD-PERP or BTCUSD_PERP"):
        guess_inverse(text, "binance-coinm")
