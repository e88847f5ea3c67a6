"""Which time a question names: read by rule, as a desk says it; what is not understood is told, not guessed."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

USUAL: Final = dt.timedelta(days=1)
"""What is looked at where no time is named."""
WIDEST: Final = dt.timedelta(days=31)
HALF: Final = dt.timedelta(minutes=30)
"""A clock time is looked at from so long before it to so long after it."""

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_NUMBERS: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_COUNTS: Final = {"a": 1.0, "an": 1.0, "half a": 0.5, "half an": 0.5, "half": 0.5} | {
    name: float(number) for number, name in enumerate(_NUMBERS, 1)
}
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
    "month": 43_200,
}
_DAY: Final = 1440
_ONE: Final = dt.timedelta(days=1)
_MOST: Final = 100_000
"""Minutes to which a count is cut; the widest window is shorter."""
_PARTS: Final = {"night": (20, 30), "morning": (6, 12), "afternoon": (12, 18), "evening": (18, 24)}
"""Hours of a day; a night goes on into the next."""


def _either(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_COUNT: Final = rf"[1-9]\d{{0,3}}|{_either(_COUNTS)}"
_LAST: Final = re.compile(rf"\b(?:last|past|previous)\s+(?:({_COUNT})\s*)?({_either(_UNITS)})s?\b")
_AGO: Final = re.compile(rf"\b({_COUNT})\s*({_either(_UNITS)})s?\s+ago\b")
_DATE: Final = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
_MONTH: Final = "|".join(f"{name[:3]}(?:{name[3:]})?" for name in _MONTHS)
_NAMED: Final = re.compile(
    rf"\b(?:(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({_MONTH})|({_MONTH})\s+(\d{{1,2}})(?:st|nd|rd|th)?)\b(?:,?\s+(\d{{4}})\b)?"
)
_ZONES: Final = {"gmt": 0, "cet": 1, "cest": 2, "est": -5, "edt": -4, "pst": -8, "pdt": -7, "hkt": 8, "sgt": 8, "jst": 9}
"""Hours ahead of UTC, of names that mean one zone only."""
ZONED: Final = re.compile(rf"(?:(?<=\d)|(?<=[ap]m))\s*({_either(_ZONES)})\b", re.IGNORECASE)
"""A zone behind a clock time."""
# Minutes, or am or pm, make a number a time.
_CLOCK: Final = (
    r"(?=\d{1,2}(?::\d\d|\s*[ap]m\b))([01]?\d|2[0-4])(?::([0-5]\d)(?::\d\d)?)?(?!\d)(?:\s*([ap]m)\b)?"
    rf"(?:\s*(?:utc|z|{_either(_ZONES)})\b)?"
)
_TO: Final = r"\s*(?:and|to|until|till|-|\u2013)\s*"
_DATES: Final = re.compile(rf"{_DATE.pattern}(?:\s*{_CLOCK})?{_TO}{_DATE.pattern}(?:\s*{_CLOCK})?")
_BETWEEN: Final = re.compile(rf"\b(?:(?:between|from)\s+)?{_CLOCK}{_TO}{_CLOCK}")
_SINCE: Final = re.compile(rf"\b(since|after)\s+(?:at\s+)?{_CLOCK}")
_AT: Final = re.compile(rf"\b(?:(?:at|around|about|near)\s+)?{_CLOCK}")
_IN_UTC: Final = re.compile(r"\butc\b|\d:\d\d\s*(?:utc|z)\b")
_SPELLED: Final = (
    (re.compile(r"(\d{4}-\d\d-\d\d)t(?=\d\d:\d\d)"), r"\1 "),
    (re.compile(r"\bnoon\b"), "12:00"),
    (re.compile(r"\bmidnight\b"), "00:00"),
    (re.compile(r"\bovernight\b"), "last night"),
    (re.compile(rf"(?<![\d:-])(\d{{1,2}})(?={_TO}\d{{1,2}}(?::\d\d)?\s*([ap]m)\b)"), r"\1\2"),
    (re.compile(r"\s+"), " "),
)
_Clock = Sequence[str | None]
"""Hour, minute, and am or pm."""


class Window(NamedTuple):
    """A time that was asked about: `words` as they stand in the question, empty where none was named."""

    start: dt.datetime
    end: dt.datetime
    words: str


def window(question: str, at: dt.datetime, zone: ZoneInfo) -> Window:
    """Return the time that a question names, cut at `at`; the day before `at` where it names none.

    Days and hours are those of `zone`, or of UTC or another zone where the question says so.
    """
    text = question.lower()
    for spelled, plainer in _SPELLED:
        text = spelled.sub(plainer, text)
    named = ZONED.search(text)
    said = dt.timezone(dt.timedelta(hours=_ZONES[named[1]])) if named else dt.UTC if _IN_UTC.search(text) else zone
    now = at.astimezone(said)
    found = _window(text, now)
    if isinstance(found, str) or found is None:
        return Window(at - USUAL, at, f"{found} is no date, the day before" if found else "")
    if found.start >= at:
        return Window(at - USUAL, at, f"{found.words} lies ahead, the day before")
    start, end = (time.astimezone(dt.UTC) for time in (found.start, min(found.end, at)))
    if start >= end:
        return Window(at - USUAL, at, f"{found.words} holds no time, the day before")  # in an hour that clocks skip
    if end - start > WIDEST:
        return Window(end - WIDEST, end, f"{found.words}, of it the last {WIDEST.days} days")
    return Window(start, end, found.words)


def _window(text: str, now: dt.datetime) -> Window | str | None:
    """Return the window that a text names, the words of a date that is none, or None."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if last := _LAST.search(text):
        return Window(_before(now, last[1], last[2]), now, last[0])
    if dates := _DATES.search(text):
        first, until = _midnight(today, *map(int, dates.group(1, 2, 3))), _midnight(today, *map(int, dates.group(7, 8, 9)))
        if first is None or until is None:
            return dates[0]
        end = _clock(until, dates.group(10, 11, 12)) if dates[10] else _hour(until, 24)
        return Window(_clock(first, dates.group(4, 5, 6)) if dates[4] else first, end, dates[0])
    for words, start in (("this week", today - dt.timedelta(days=today.weekday())), ("this month", today.replace(day=1))):
        if re.search(rf"\b{words}\b", text):
            return Window(start, now, words)
    ago = _AGO.search(text)
    if ago and _UNITS[ago[2]] < _DAY:
        middle = _before(now, ago[1], ago[2])
        return Window(middle - HALF, middle + HALF, ago[0])
    day, words = _day(text, now)
    if words and day is None:
        return words
    return _part(text, day, words, now) or _hours(text.replace(words, " ") if words else text, text, day, words, now)


def _before(now: dt.datetime, count: str | None, unit: str) -> dt.datetime:
    """Return the time so long before `now`: an hour is one, whatever the clocks do."""
    minutes = (_COUNTS.get(count) or float(count)) * _UNITS[unit] if count else _UNITS[unit]
    return now.astimezone(dt.UTC) - dt.timedelta(minutes=min(minutes, _MOST))


def _part(text: str, day: dt.datetime | None, words: str, now: dt.datetime) -> Window | None:
    """Return a night, morning, afternoon or evening."""
    midnight = day or now.replace(hour=0, minute=0, second=0, microsecond=0)
    for part, (first, until) in _PARTS.items():
        said = re.search(rf"\b(?:(last|this|yesterday)\s+|to)?{part}\b", text)
        if said and (said[1] or day or said[0].startswith("to")):
            back = 1 if said[1] in {"last", "yesterday"} and (day is None or part == "night") and "yesterday" not in words else 0
            start = midnight - dt.timedelta(days=back)
            named = " ".join(dict.fromkeys(f"{words} {said[0]}".split()))
            if re.search(rf"\bsince (?:the )?{re.escape(named)}", text):
                return Window(_hour(start, first), now, f"since {named}")
            return Window(_hour(start, first), _hour(start, until), named)
    return None


def _hours(rest: str, text: str, day: dt.datetime | None, words: str, now: dt.datetime) -> Window | None:
    """Return the hours of a day that a text names, or the day; `rest` is the text without the day's words."""
    midnight = day or now.replace(hour=0, minute=0, second=0, microsecond=0)
    rest = " ".join(rest.split())
    if between := _BETWEEN.search(rest):
        start, end = _clock(midnight, between.group(1, 2, 3)), _clock(midnight, between.group(4, 5, 6))
        end = end if end > start else end + _ONE
        return _passed(Window(start, end, f"{words} {between[0]}".strip()), day, now)
    if since := _SINCE.search(rest):
        start, to_now = _clock(midnight, since.group(2, 3, 4)), day is None or since[1] == "since"
        if day is None and start >= now:
            return Window(start - _ONE, now, f"{since[0]} yesterday")
        return Window(start, now if to_now else _hour(midnight, 24), f"{since[0]} {words}".strip())
    if clock := _AT.search(rest):
        middle = _clock(midnight, clock.group(1, 2, 3)).astimezone(dt.UTC)
        return _passed(Window(middle - HALF, middle + HALF, f"{words} {clock[0]}".strip()), day, now)
    if day and re.search(rf"\bsince (?:the )?{re.escape(words)}", text):
        return Window(midnight, now, f"since {words}")
    return Window(midnight, midnight + dt.timedelta(days=2 if words.endswith("weekend") else 1), words) if day else None


def _passed(found: Window, day: dt.datetime | None, now: dt.datetime) -> Window:
    """Return hours that no day was named for as the last ones that have begun."""
    if day or found.start < now:
        return found
    return Window(found.start - _ONE, found.end - _ONE, f"{found.words} yesterday")


def _day(text: str, now: dt.datetime) -> tuple[dt.datetime | None, str]:
    """Return the midnight with which a day begins that a text names, and how it names it."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if date := _DATE.search(text):
        return _midnight(today, int(date[1]), int(date[2]), int(date[3])), date[0]
    if named := _NAMED.search(text):
        number, name, year = int(named[1] or named[4]), (named[2] or named[3])[:3], int(named[5] or today.year)
        month = next(k for k, full in enumerate(_MONTHS, 1) if full.startswith(name))
        found = _midnight(today, year, month, number)
        return (_midnight(today, year - 1, month, number) if found and found > now and not named[5] else found), named[0]
    if (ago := _AGO.search(text)) and _UNITS[ago[2]] >= _DAY:
        return _before(today, ago[1], ago[2]).astimezone(today.tzinfo).replace(hour=0, minute=0), ago[0]
    for name, back in (("day before yesterday", 2), ("yesterday", 1), ("today", 0), ("tomorrow", -1)):
        if re.search(rf"\b{name}\b", text):
            return today - dt.timedelta(days=back), name
    for number, name in enumerate(_DAYS):
        if said := re.search(rf"\b(?:on |last )?{name}\b", text):
            return today - dt.timedelta(days=(today.weekday() - number) % 7 or 7 * ("last" in said[0])), said[0]
    if weekend := re.search(r"\b(?:last )?weekend\b", text):
        begun = (today.weekday() - 5) % 7
        return today - dt.timedelta(days=begun + 7 * ("last" in weekend[0] and begun < 2)), weekend[0]
    return None, ""


def _midnight(today: dt.datetime, year: int, month: int, day: int) -> dt.datetime | None:
    try:
        return today.replace(year=year, month=month, day=day)
    except ValueError:
        return None


def _hour(midnight: dt.datetime, hour: int) -> dt.datetime:
    days, rest = divmod(hour, 24)
    return (midnight + dt.timedelta(days=days)).replace(hour=rest)


def _clock(midnight: dt.datetime, said: _Clock) -> dt.datetime:
    hour, minute = int(said[0] or 0), int(said[1] or 0)
    if said[2] and hour <= 12:
        hour = hour % 12 + 12 * (said[2] == "pm")
    return _hour(midnight, hour).replace(minute=minute)
