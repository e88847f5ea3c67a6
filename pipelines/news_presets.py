"""Feeds of headlines that are known by name."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Form = Literal["rss", "cryptopanic"]


class Preset(NamedTuple):
    """A feed, as in `settings.NewsFeed`."""

    url: str
    form: Form = "rss"
    token_env: str | None = None
    every_s: float | None = None


PRESETS: Final[dict[str, Preset]] = {
    "bitcoin-magazine": Preset("https://bitcoinmagazine.com/feed"),
    "blockchain-news": Preset("https://blockchain.news/rss"),
    "coindesk": Preset("https://www.coindesk.com/arc/outboundfeeds/rss/"),
    "cointelegraph": Preset("https://cointelegraph.com/rss"),
    "cryptopanic": Preset("https://cryptopanic.com/news/rss/"),
    "cryptopanic-api": Preset(
        "https://cryptopanic.com/api/developer/v2/posts/?auth_token={token}&public=true&kind=news",
        "cryptopanic",
        "CRYPTOPANIC_TOKEN",
        3600.0,  # the smallest plan allows from 100 to 1,000 requests a month
    ),
    "decrypt": Preset("https://decrypt.co/feed"),
    "theblock": Preset("https://www.theblock.co/rss.xml"),
}
