"""Names of instruments, looked up."""

from __future__ import annotations

import pytest

from pipelines.market import Instrument
from pipelines.venues.names import normalise

LISTED = [
    Instrument("binance-usdm", "BTC-USDT-PERP", "BTCUSDT", "BTC", "USDT"),
    Instrument("binance-usdm", "ETH-USDT-PERP", "ETHUSDT", "ETH", "USDT"),
    Instrument("binance-usdm", "BTC-USDT-260626", "BTCUSDT_260626", "BTC", "USDT"),
]


@pytest.mark.parametrize("text", ["BTC-USDT-PERP", "BTCUSDT", "btcusdt", " btc-usdt-perp "])
def test_either_name_is_taken(text: str) -> None:
    assert normalise(text, LISTED) is LISTED[0]


@pytest.mark.parametrize(
    ("text", "near"), [("BTC-USDT", "BTC-USDT-PERP"), ("ETHUSD", "ETH-USDT-PERP"), ("EHT-USDT-PERP", "ETH-USDT-PERP")]
)
def test_an_unknown_symbol_gets_a_hint(text: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown symbol '{text}': did you mean .*{near}"):
        normalise(text, LISTED)


def test_an_unknown_symbol_like_no_other_says_so() -> None:
    with pytest.raises(ValueError, match="the venue has 3 others"):
        normalise("QQQQ", LISTED)
