"""Names of instruments, told by their quote asset."""

from __future__ import annotations

import pytest

from pipelines.venues.binance_names import guess


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
