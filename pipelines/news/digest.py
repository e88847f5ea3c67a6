"""A digest of headlines as Markdown: counts, then headlines by symbol. What moved what is not said: nobody measured it."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

if TYPE_CHECKING:
    import datetime as dt

LISTED: Final = 8
"""Headlines of a symbol that are listed, the newest."""
SYMBOLS: Final = 12
SHOWN: Final = 160
"""Characters of a headline that are shown."""
LINK: Final = 200
"""Characters of a link that is kept; a longer one is left out."""
NONE: Final = "no symbol"
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]()<>#+!|~&:@-])")
_URL: Final = re.compile(r"https?://[A-Za-z0-9.\-_~:/?#@!$&'*+,;=%]+")


class Digest(NamedTuple):
    """Headlines first seen in the 24 hours before `until`; `symbols` counts each under every symbol that it mentions."""

    until: dt.datetime
    headlines: int
    edited: int
    feeds: dict[str, int]
    symbols: dict[str, int]
    hours: list[int]
    text: str


def digest(news: pl.DataFrame, until: dt.datetime) -> Digest:
    """Digest rows of table `news` of the 24 hours before `until`; of an item that was edited, the last title holds."""
    edited = int(news["edited"].fill_null(value=False).sum())
    newest = news.sort("first_seen", "news_id").unique(["venue", "news_id"], keep="last", maintain_order=True)
    rows = newest.sort("first_seen", "news_id", descending=[True, False]).to_dicts()
    by_symbol: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        for symbol in row["symbols"] or [NONE]:
            by_symbol.setdefault(symbol, []).append(row)
    order = sorted(by_symbol, key=lambda symbol: (symbol == NONE, -len(by_symbol[symbol]), symbol))
    ages = Counter(min(23, int((until - row["first_seen"]).total_seconds() // 3600)) for row in rows)
    feeds = Counter(row["venue"] for row in rows)
    head = (
        f"# Headlines of the 24 h before {until:%Y-%m-%d %H:%M} UTC\n\n"
        f"{len(rows)} headlines, {edited} edits, {len(feeds)} feeds. By the time they were first seen; one that mentions several"
        " symbols stands under each.\n"
    )
    return Digest(
        until,
        len(rows),
        edited,
        dict(feeds.most_common()),
        {symbol: len(by_symbol[symbol]) for symbol in order},
        [ages[age] for age in reversed(range(24))],
        head + "".join(_section(symbol, by_symbol[symbol]) for symbol in order[:SYMBOLS]) + _rest(order[SYMBOLS:]),
    )


def _section(symbol: str, rows: list[dict[str, Any]]) -> str:
    lines = [f"\n## {_plain(symbol)}: {len(rows)}\n", *(_line(row) for row in rows[:LISTED])]
    if len(rows) > LISTED:
        lines.append(f"- and {len(rows) - LISTED} older ones")
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    title, url = _plain(row["title"]), row["url"] or ""
    linked = f"[{title}]({url})" if len(url) <= LINK and _URL.fullmatch(url) else title
    return f"- {row['first_seen']:%H:%M} {linked} ({_plain(row['source'] or row['venue'])})"


def _rest(symbols: list[str]) -> str:
    return f"\nNot listed: {', '.join(map(_plain, symbols))}.\n" if symbols else ""


def _plain(text: str) -> str:
    """Return text that Markdown and HTML take as letters only: publishers may send anything."""
    one = " ".join(text.split())
    return _MARKUP.sub(r"\\\1", one if len(one) <= SHOWN else f"{one[: SHOWN - 1]}…")
