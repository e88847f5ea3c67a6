"""Which assets a headline is about."""

from __future__ import annotations

import pytest

from pipelines.news.mentions import mentioned, tickers

WANTED = tickers({"BTC", "ETH", "LINK", "GAS", "ONE", "ARB", "W", "1000PEPE"})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Bitcoin and ether fall, SOLANA rises", {"BTC", "ETH", "SOL"}),
        ("BTC/USDT and ETH's fees", {"BTC", "ETH", "USDT"}),
        ("Bitcoin Cash forks", {"BCH"}),
        ("the missing link, one more gas fee", set()),
        ("LINK, ONE and GAS", set()),
        ("$LINK, $one and (GAS)", {"LINK", "ONE", "GAS"}),
        ("Chainlink gains", {"LINK"}),
        ("arb funds unwind", set()),
        ("ARB unlock", {"ARB"}),
        ("PEPE doubles", {"PEPE"}),
        ("W stands alone; $W does not", {"W"}),
        ("BREAKING: ARB LISTED BESIDE BTC", {"BTC"}),
        ("a ripple effect, an avalanche of orders", set()),
        ("Ripple wins", {"XRP"}),
        ("ETHICS OF BTCUSD and US$BTC", set()),
        ("DOGE unlisted in settings, known to all", {"DOGE"}),
        ("", set()),
    ],
)
def test_mentions(text: str, found: set[str]) -> None:
    assert mentioned(text, WANTED) == found
