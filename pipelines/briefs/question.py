"""What a question asks about: instruments, a time, and topics; read by rule, never carried out."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pipelines.briefs.naming import Instrument, Names
from pipelines.news.mentions import NAMES

LONGEST: Final = 500
"""Characters of a question."""
USUAL: Final = dt.timedelta(days=1)
"""What is looked at where no time is named."""
WIDEST: Final = dt.timedelta(days=31)

TOPICS: Final = {
    "vpin": ("vpin", "toxic", "toxicity", "informed"),
    "price": ("price", "prices", "return", "returns"),
    "volume": ("volume", "traded", "turnover", "rvol", "activity", "busy", "notional"),
    "flow": ("flow", "imbalance", "ofi", "buying", "selling", "buyers", "sellers", "taker"),
    "spread": ("spread", "liquidity", "liquid", "depth", "illiquid", "slippage"),
    "volatility": ("volatility", "volatile", "vol", "range", "calm", "wild"),
    "alerts": ("alert", "alerts", "alarm", "alarms", "signal", "signals", "detector", "detectors", "anomaly"),
    "gaps": ("gap", "gaps", "hole", "holes", "missing", "data", "feed", "stale", "outage", "quality"),
    "posture": ("posture", "trend", "long", "short", "flat", "momentum"),
    "liquidations": ("liquidation", "liquidations", "liquidated", "forced", "cascade"),
}
"""Topics of a window, and the words that ask for them."""
_MOVES: Final = "move moved rise rose fall fell drop dropped crash crashed pump pumped jump jumped rally rallied"
"""Words that ask for the price, unless something else is named that moved."""

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_COUNTS: Final = dict(
    zip(("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), range(1, 11), strict=True)
)
_UNITS: Final = {
    "m": 1,
    "min": 1,
    "minute": 1,
    "h": 60,
    "hr": 60,
    "hour": 60,
    "d": 1440,
    "day": 1440,
    "w": 10_080,
    "week": 10_080,
}
_PARTS: Final = {"night": (20, 30), "morning": (6, 12), "afternoon": (12, 18), "evening": (18, 24)}
"""Hours of a day; a night goes on into the next."""
_SPANS: Final = "|".join(sorted(_UNITS, key=len, reverse=True))
_LAST: Final = re.compile(rf"\b(?:last|past|previous)\s+(?:(\d{{1,4}}|an?|{'|'.join(_COUNTS)})\s*)?({_SPANS})s?\b")
_DATE: Final = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
_NAMED: Final = re.compile(
    rf"\b(?:(\d{{1,2}})(?:st|nd|rd|th)?\s+({'|'.join(_MONTHS)})|({'|'.join(_MONTHS)})\s+(\d{{1,2}})(?:st|nd|rd|th)?)\b(?:,?\s+(\d{{4}})\b)?"
)
_CLOCK: Final = r"(\d{1,2})(?::(\d\d))\s*(?:utc|z)?"
_BETWEEN: Final = re.compile(rf"\b(?:between|from)\s+{_CLOCK}\s*(?:and|to|until|-)\s*{_CLOCK}")
_SINCE: Final = re.compile(rf"\b(?:since|after)\s+{_CLOCK}")
_AT: Final = re.compile(rf"\b(?:at|around|about|near)?\s*{_CLOCK}")


_TICKER: Final = re.compile(r"[A-Z]{3,6}|[A-Z0-9]*[A-Z][A-Z0-9]*(-[A-Z0-9]{2,8})+|[A-Z0-9]{3,8}(USDT|USDC|USD)")
_DESK: Final = ("vpin", "rvol", "ofi", "vwap", "atr", "utc", "cpi", "fomc", "fed", "etf", "sec", "btw", "asap")
_PLAIN: Final = ("why", "how", "what", "when", "where", "who", "which", "the", "and", "did", "was", "are", "not", "all")
_CAPITALS: Final = frozenset(word.upper() for names in (_DESK, _PLAIN, *TOPICS.values()) for word in names)


class Window(NamedTuple):
    """A time that was asked about: `words` as they stand in the question, empty where none was named."""

    start: dt.datetime
    end: dt.datetime
    words: str


class Question(NamedTuple):
    """What a question names.

    Attributes
    ----------
    instruments : tuple of Instrument
    unknown : tuple of str
        Words written like a symbol that are none here, each with what may have been meant.
    window : Window
    topics : tuple of str
    """

    instruments: tuple[Instrument, ...]
    unknown: tuple[str, ...]
    window: Window
    topics: tuple[str, ...]


def read(question: str, at: dt.datetime, zone: ZoneInfo, instruments: Sequence[Instrument]) -> Question:
    """Return what a question names, as of `at`; days and hours are those of `zone`."""
    words = re.findall(r"[a-z]+", question.lower())
    topics = tuple(topic for topic, names in TOPICS.items() if set(names) & set(words))
    topics = topics or (("price",) if set(_MOVES.split()) & set(words) else ())
    found, unknown = _instruments(question, instruments)
    return Question(found, unknown, window(question, at, zone), topics)


def window(question: str, at: dt.datetime, zone: ZoneInfo) -> Window:
    """Return the time that a question names, cut at `at`; the day before `at` where it names none."""
    found = _window(question.lower(), at.astimezone(zone))
    if found is None or found.start >= at:
        return Window(at - USUAL, at, f"{found.words} lies ahead, the day before" if found else "")
    start, end = (time.astimezone(dt.UTC) for time in (found.start, min(found.end, at)))
    return Window(max(start, end - WIDEST), end, found.words)


def _window(text: str, now: dt.datetime) -> Window | None:
    if last := _LAST.search(text):
        count = last[1] or "1"
        minutes = (1 if count in {"a", "an"} else _COUNTS.get(count) or int(count)) * _UNITS[last[2]]
        return Window(now - dt.timedelta(minutes=min(minutes, 100_000)), now, last[0])
    day, words = _day(text, now)
    midnight = day or now.replace(hour=0, minute=0, second=0, microsecond=0)
    for part, (first, until) in _PARTS.items():
        said = re.search(rf"\b(?:(last|this|yesterday)\s+|to)?{part}\b", text)
        if said and (said[1] or day or said[0].startswith("to")):
            back = 1 if said[1] in {"last", "yesterday"} and (day is None or part == "night") and "yesterday" not in words else 0
            start = midnight - dt.timedelta(days=back)
            return Window(_hour(start, first), _hour(start, until), " ".join(dict.fromkeys(f"{words} {said[0]}".split())))
    if between := _BETWEEN.search(text):
        start, end = _clock(midnight, between[1], between[2]), _clock(midnight, between[3], between[4])
        return Window(start, end if end > start else end + dt.timedelta(days=1), f"{words} {between[0]}".strip())
    if since := _SINCE.search(text):
        start = _clock(midnight, since[1], since[2])
        return Window(start, now if day is None else _hour(midnight, 24), f"{words} {since[0]}".strip())
    if clock := _AT.search(text):
        middle, half = _clock(midnight, clock[1], clock[2]), dt.timedelta(minutes=30)
        return Window(middle - half, middle + half, f"{words} {clock[0]}".strip())
    return Window(midnight, _hour(midnight, 24), words) if day else None


def _day(text: str, now: dt.datetime) -> tuple[dt.datetime | None, str]:
    """Return the midnight with which a day begins that a text names, and how it names it."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if date := _DATE.search(text):
        return _midnight(today, int(date[1]), int(date[2]), int(date[3])), date[0]
    if named := _NAMED.search(text):
        number, month, year = int(named[1] or named[4]), _MONTHS.index(named[2] or named[3]) + 1, int(named[5] or today.year)
        found = _midnight(today, year, month, number)
        return (found.replace(year=year - 1) if found and found > now and not named[5] else found), named[0]
    for name, back in (("yesterday", 1), ("today", 0)):
        if re.search(rf"\b{name}\b", text):
            return today - dt.timedelta(days=back), name
    for number, name in enumerate(_DAYS):
        if said := re.search(rf"\b(?:on |last )?{name}\b", text):
            return today - dt.timedelta(days=(today.weekday() - number) % 7 or 7 * ("last" in said[0])), said[0]
    return None, ""


def _midnight(today: dt.datetime, year: int, month: int, day: int) -> dt.datetime | None:
    try:
        return today.replace(year=year, month=month, day=day)
    except ValueError:
        return None


def _hour(midnight: dt.datetime, hour: int) -> dt.datetime:
    days, rest = divmod(hour, 24)
    return (midnight + dt.timedelta(days=days)).replace(hour=rest)


def _clock(midnight: dt.datetime, hour: str, minute: str) -> dt.datetime:
    return midnight.replace(hour=min(int(hour), 23), minute=min(int(minute), 59))


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
    shouted = question.isupper() and len(question.split()) > 3
    unknown = []
    for word in re.findall(r"\w+(?:-\w+)*", rest):
        asset = NAMES.get(word.lower())
        meant = [one for one in known if word.upper() == _together(one[1]) or asset == one[1].partition("-")[0]]
        found |= dict.fromkeys(meant)
        if meant or not (asset or (_is_ticker(word) and not shouted)):
            continue
        near = difflib.get_close_matches(asset or word, symbols if "-" in word else bases, 2, 0.75 if "-" in word else 0.5)
        unknown.append(f"{word}: " + (f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(bases[:10])}"))
    return tuple(found), tuple(dict.fromkeys(unknown))


def _together(symbol: str) -> str:
    """Return how most venues write a symbol."""
    return symbol.removesuffix("-PERP").replace("-", "")


def _capital(text: str) -> str:
    """Return text in capitals, each letter in its place."""
    return "".join(c.upper() if c.isascii() else c for c in text)


def _is_ticker(word: str) -> bool:
    """Whether a word is written like a symbol, and is none of those that a desk writes in capitals."""
    return word not in _CAPITALS and bool(_TICKER.fullmatch(word))
