"""What a question asks about: instruments, a time, and topics; read by rule, never carried out."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pipelines.briefs.naming import Instrument, Names
from pipelines.briefs.times import ZONED, Window, window
from pipelines.news.mentions import NAMES
from pipelines.settings import VENUES

LONGEST: Final = 500
"""Characters of a question."""

TOPICS: Final = {
    "vpin": ("vpin", "toxic", "toxicity", "informed"),
    "price": ("price", "prices", "return", "returns"),
    "volume": ("volume", "volumes", "traded", "turnover", "rvol", "activity", "busy", "notional"),
    "flow": ("flow", "imbalance", "ofi", "buying", "selling", "buyers", "sellers", "taker"),
    "spread": ("spread", "spreads", "liquidity", "liquid", "depth", "illiquid", "slippage"),
    "volatility": ("volatility", "volatile", "vol", "range", "calm", "wild"),
    "alerts": ("alert", "alerts", "alarm", "alarms", "signal", "signals", "detector", "detectors", "anomaly"),
    "gaps": ("gap", "gaps", "hole", "holes", "missing", "data", "feed", "feeds", "stale", "outage", "outages", "quality"),
    "posture": ("posture", "trend", "long", "short", "flat", "momentum"),
    "liquidations": ("liquidation", "liquidations", "liquidated", "forced", "cascade"),
}
"""Topics of a window, and the words that ask for them."""
_MOVES: Final = "move moved rise rose fall fell drop dropped crash crashed pump pumped jump jumped rally rallied"
"""Words that ask for the price, unless something else is named that moved."""

_TICKER: Final = re.compile(r"[A-Z]{3,6}|[A-Z0-9]*[A-Z][A-Z0-9]*(-[A-Z0-9]{2,8})+|[A-Z0-9]{3,8}(USDT|USDC|USD)")
_DESK: Final = ("vpin", "rvol", "ofi", "vwap", "atr", "utc", "cpi", "fomc", "fed", "etf", "sec", "btw", "asap")
_PLAIN: Final = ("why", "how", "what", "when", "where", "who", "which", "the", "and", "did", "was", "are", "not", "all")
_CAPITALS: Final = frozenset(word.upper() for names in (_DESK, _PLAIN, *TOPICS.values()) for word in names)


class Question(NamedTuple):
    """What a question names.

    Attributes
    ----------
    instruments : tuple of Instrument
    unknown : tuple of str
        Words written like a symbol that are none here, each with what may have been meant.
    window : Window
    topics : tuple of str
    left_out : tuple of Instrument
        Named, or watched, but more than one answer tells of.
    """

    instruments: tuple[Instrument, ...]
    unknown: tuple[str, ...]
    window: Window
    topics: tuple[str, ...]
    left_out: tuple[Instrument, ...] = ()


def read(question: str, at: dt.datetime, zone: ZoneInfo, instruments: Sequence[Instrument]) -> Question:
    """Return what a question names, as of `at`; days and hours are those of `zone`."""
    words = re.findall(r"[a-z]+", question.lower())
    topics = tuple(topic for topic, names in TOPICS.items() if set(names) & set(words))
    topics = topics or (("price",) if set(_MOVES.split()) & set(words) else ())
    found, unknown = _instruments(ZONED.sub(" ", question), instruments)
    return Question(found, (*unknown, *_venues(words, instruments)), window(question, at, zone), topics)


def _instruments(question: str, known: Sequence[Instrument]) -> tuple[tuple[Instrument, ...], tuple[str, ...]]:
    """Return the instruments of the lake that a question names, in order, and the symbols that it has not."""
    names = Names(known)
    found: dict[Instrument, None] = {}
    rest = question
    for typed in (str, _capital):  # as they are written, then as they are typed in haste
        for mention in names.mentions(typed(rest)):
            found |= dict.fromkeys(sorted(mention.meant))
            rest = rest[: mention.start] + " " * (mention.end - mention.start) + rest[mention.end :]
    bases = sorted({symbol.partition("-")[0] for _, symbol in known})
    symbols = sorted({symbol for _, symbol in known})
    quotes = {symbol.split("-")[1] for symbol in symbols if "-" in symbol} if found else set()  # BTC/USDT is one instrument
    shouted = question.isupper() and len(question.split()) > 3
    unknown = []
    for word in re.findall(r"\w+(?:-\w+)*", rest):
        asset = NAMES.get(word.lower())
        meant = [one for one in known if word.upper() == _together(one[1]) or asset == one[1].partition("-")[0]]
        found |= dict.fromkeys(meant)
        pair = word.upper() if "-" in word and word.upper().partition("-")[0] in bases else word
        if meant or word.upper() in quotes or not (asset or (_is_ticker(pair) and not shouted)):
            continue
        near = difflib.get_close_matches(asset or pair, symbols if "-" in word else bases, 2, 0.75 if "-" in word else 0.6)
        unknown.append(f"{word}: " + (f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(bases[:10])}"))
    return tuple(found), tuple(dict.fromkeys(unknown))


def _venues(words: Sequence[str], known: Sequence[Instrument]) -> list[str]:
    """Return the exchanges that a question names and the lake has nothing of."""
    here = sorted({venue for venue, _ in known})
    there = {venue.partition("-")[0] for venue in VENUES} - {venue.partition("-")[0] for venue in here}
    return [f"{word}: there is {', '.join(here)}" for word in dict.fromkeys(words) if word in there]


def _together(symbol: str) -> str:
    """Return how most venues write a symbol."""
    return symbol.removesuffix("-PERP").replace("-", "")


def _capital(text: str) -> str:
    """Return text in capitals, each letter in its place."""
    return "".join(c.upper() if c.isascii() else c for c in text)


def _is_ticker(word: str) -> bool:
    """Whether a word is written like a symbol, and is none of those that a desk writes in capitals."""
    return word not in _CAPITALS and bool(_TICKER.fullmatch(word))
