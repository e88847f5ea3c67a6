"""Levels of an instrument, each against its own values of the last week, and how many those are."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, NamedTuple

from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.notes import Notes, decimals, number, said
from pipelines.briefs.queries import DAY, HOUR, WEEK
from pipelines.briefs.reading import moment
from pipelines.briefs.sheet import Sentence
from pipelines.settings import Settings

PLACES: Final = 1
"""Digits behind the point of a percentile."""


class Level(NamedTuple):
    """A value, its percentile, and how many earlier values that is of."""

    now: Fact
    pct: Fact
    n: Fact


class Levels(NamedTuple):
    """All levels by name; `other` holds facts without a percentile; what is not known is named in `unknown`."""

    by_name: dict[str, Level]
    other: dict[str, Fact]
    sentences: list[Sentence]
    unknown: list[Sentence]


class Minute(NamedTuple):
    """A column of table `features` that makes a level."""

    name: str
    label: str
    unit: Unit
    column: str
    held: str
    """What the percentile is taken of: the column, or its size without the sign."""
    decimals: int
    span: str = ""
    signed: bool = False
    measure: str = "last"
    shown: bool = True
    """Whether the value itself tells a person anything, or only its percentile does."""


MINUTES: Final = (
    Minute("rvol", "relative volume", Unit.RATIO, "rvol_15m", "rvol_15m", 2, "15m"),
    Minute("volatility", "volatility of the last hour", Unit.SHARE, "rv_1h", "rv_1h", 2, "1h", measure="root_last"),
    Minute("imbalance", "trade imbalance", Unit.SHARE, "trade_imbalance_15m", "abs(trade_imbalance_15m)", 1, "15m", signed=True),
    Minute("ofi", "order flow imbalance", Unit.SIZE, "ofi_15m", "abs(ofi_15m)", 3, "15m", signed=True),
    Minute("spread", "spread", Unit.BPS, "spread_bps", "spread_bps", 2),
    Minute("impact", "Amihud price impact", Unit.SCORE, "amihud_1h", "amihud_1h", 12, "1h", shown=False),
)


def levels(notes: Notes, settings: Settings) -> Levels:
    """Note the levels."""
    found = Levels({}, {}, [], [])
    _price(notes, found)
    _traded(notes, found)
    _vpin(notes, found, settings)
    for minute in MINUTES:
        _minute(notes, found, minute)
    _range(notes, found)
    _posture(notes, found)
    _liquidated(notes, found)
    return found


def against(level: Level, what: str = "minutes") -> str:
    """Say where a level stands among earlier values."""
    if level.pct.value is None:
        return f"({said(level.n)} earlier {what}, too few for a percentile)"
    return f"({said(level.pct)} of {said(level.n)} {what})"


def has_band(found: Levels) -> bool:
    """Whether VPIN could lie above what independent signs give: with few trades a bucket it cannot, being at most 1."""
    high = number(found.other["null_high"])
    return high is not None and high < 1


def _price(notes: Notes, found: Levels) -> None:
    query = notes.about.minutes('"end", close AS value', HOUR)
    closes = [c for c in notes.reader.rows(query)["value"].to_list() if c is not None]
    places = max((decimals(c) for c in closes), default=0)
    found.other["price"] = notes.fact("price", "price", Unit.PRICE, query, asset=notes.quote, decimals=places)
    for name, span, width, short in (("return_hour", HOUR, "hour", "1h"), ("return_day", DAY, "day", "24h")):
        label = f"change of price over the last {width}"
        # The first row is the last close at or before the beginning of the span.
        past = notes.about.minutes('"end", close AS value', span + HOUR, f'"end" <= {moment(notes.about.at - span)}')
        now = notes.about.minutes('"end", close AS value', HOUR)
        both = (
            f'(SELECT * FROM ({past}) ORDER BY "end" DESC LIMIT 1) UNION ALL (SELECT * FROM ({now}) ORDER BY "end" DESC LIMIT 1)'
        )
        found.other[name] = notes.fact(
            name, label, Unit.SHARE, f'SELECT * FROM ({both}) ORDER BY "end"', "change", decimals=2, signed=True, span=short
        )
    price, hour, date = (said(found.other[name]) for name in ("price", "return_hour", "return_day"))
    found.sentences.append(Sentence(f"price {price}: {hour} over the last hour, {date} over the last day"))


def _traded(notes: Notes, found: Levels) -> None:
    """Note what was traded in the last hour against the hours of the last week before it."""
    hours = notes.about.hours("notional", WEEK)
    asset: dict[str, Any] = {"asset": notes.quote, "decimals": 2, "span": "1h"}
    query = notes.about.minutes('"end", notional AS value', HOUR)
    now = notes.fact("traded", "trading of the last hour", Unit.NOTIONAL, query, "sum", **asset)
    level = Level(now, *_rank(notes, "traded", now.label, hours, "sums_"))
    found.by_name["traded"] = level
    found.sentences.append(Sentence(f"{now.label} {said(now)} {against(level, 'hours')}"))


def _vpin(notes: Notes, found: Levels, settings: Settings) -> None:
    names = settings.kernels.vpin_settings()
    count = settings.kernels.percentile_window + 1
    name = next((s for s in names if not notes.reader.rows(notes.about.vpin("vpin_flag", s, 1, DAY)).is_empty()), None)
    if name is None:
        found.unknown.append(Sentence("VPIN: no complete window of buckets in the last day"))
        return
    last = partial(notes.about.vpin, setting=name, count=1)
    now = notes.fact("vpin", "VPIN", Unit.SCORE, last("vpin_flag"), decimals=3, span=name)
    level = Level(now, *_rank(notes, "vpin", "VPIN", notes.about.vpin("vpin_flag", name, count), span=f"{count - 1} buckets"))
    low = notes.fact("vpin_null_low", "VPIN under independent signs, low end", Unit.SCORE, last("null_low"), decimals=3)
    high = notes.fact("vpin_null_high", "VPIN under independent signs, high end", Unit.SCORE, last("null_high"), decimals=3)
    spans = notes.fact("vpin_gap", "windows of VPIN that span a hole", Unit.COUNT, last("gap"), "true")
    found.by_name["vpin"] = level
    found.other.update({"null_low": low, "null_high": high})
    if spans.value:
        found.unknown.append(Sentence("VPIN without holes: its window spans a hole in the tape"))
    told = f"VPIN {said(now)} {against(level, 'buckets')}"
    if has_band(found):
        found.sentences.append(Sentence(f"{told}; with independent signs it would be {said(low)} to {said(high)}"))
    else:
        found.sentences.append(Sentence(told))
        found.unknown.append(Sentence("VPIN under independent signs: its buckets hold too few trades to tell"))


def _minute(notes: Notes, found: Levels, minute: Minute) -> None:
    query = notes.about.rows("features", f'"end", {minute.column} AS value', HOUR)
    asset = notes.base if minute.unit is Unit.SIZE else ""
    shown: dict[str, Any] = {"decimals": minute.decimals, "signed": minute.signed, "asset": asset, "span": minute.span}
    now = notes.fact(minute.name, minute.label, minute.unit, query, minute.measure, **shown)
    if now.value is None:
        found.unknown.append(Sentence(f"{minute.label}: {said(now)}"))
        return
    held = notes.about.rows("features", f'"end", {minute.held} AS value', WEEK, where=f"{minute.column} IS NOT NULL")
    level = Level(now, *_rank(notes, minute.name, minute.label, held))
    found.by_name[minute.name] = level
    found.sentences.append(Sentence(f"{minute.label}{f' {said(now)}' if minute.shown else ''} {against(level)}"))


def _range(notes: Notes, found: Levels) -> None:
    query = notes.about.minutes('"end", high, low, close AS value', HOUR)
    now = notes.fact("range", "range of the last hour", Unit.BPS, query, "range_bps", decimals=1, span="1h")
    part = f"""(epoch_us({moment(notes.about.at)}) - epoch_us("end")) // 3600000000"""
    hours = notes.about.minutes(f'"end", {part} AS part, high, low, close AS value', WEEK)
    level = Level(now, *_rank(notes, "range", "range of the last hour", hours, "ranges_"))
    found.by_name["range"] = level
    found.sentences.append(Sentence(f"range of the last hour {said(now)} {against(level, 'hours')}"))


def _posture(notes: Notes, found: Levels) -> None:
    # Each date begins flat; where nothing was recorded at first, no posture is known of that time.
    known = "greatest(since, min(ts) OVER (PARTITION BY date))"
    state, since, score = (
        notes.fact(name, label, unit, notes.about.rows("posture", f'"end", {column} AS value', span), decimals=places)
        for name, label, unit, column, span, places in (
            ("posture", "posture", Unit.WORD, "state", HOUR, 0),
            ("posture_since", "beginning of the posture", Unit.TIME, known, DAY + HOUR, 0),
            ("p_up", "trend score", Unit.SCORE, "p_up", HOUR, 3),
        )
    )
    found.other.update({"posture": state, "p_up": score})
    if state.value is None:
        found.unknown.append(Sentence(f"posture: {said(state)}"))
        return
    found.sentences.append(Sentence(f"posture {said(state)} since {said(since)}, trend score {said(score)}"))


def _liquidated(notes: Notes, found: Levels) -> None:
    if notes.reader.rows(notes.about.rows("liquidations", "seq", WEEK) + " LIMIT 1").is_empty():
        found.unknown.append(Sentence("liquidations: none recorded in the last week, or no feed of them"))
        return
    query = notes.about.rows("liquidations", '"end", notional AS value', HOUR, order='"end", seq')
    count = notes.fact("liquidations", "forced orders in the last hour", Unit.COUNT, query, "count")
    found.other["liquidations"] = count
    if not count.value:
        found.sentences.append(Sentence(f"forced orders in the last hour: {said(count)}"))
        return
    total = notes.fact("liquidated", "liquidated in the last hour", Unit.NOTIONAL, query, "sum", asset=notes.quote, decimals=2)
    forced = '"end", seq, CASE WHEN side < 0 THEN notional ELSE 0.0 END AS value, notional AS "of"'
    sells = notes.about.rows("liquidations", forced, HOUR, order='"end", seq')
    share = notes.fact("liquidated_sells", "share of forced sales in it", Unit.SHARE, sells, "ratio", decimals=0)
    kept = notes.fact(
        "sampled",
        "share of forced orders of a sampled feed",
        Unit.SHARE,
        notes.about.rows("liquidations", '"end", sampled AS value', HOUR, order='"end", seq'),
        "share",
    )
    found.other.update({"liquidated": total, "liquidated_sells": share})
    sampled = " (sampled: the venue shows only some)" if kept.value else ""
    found.sentences.append(
        Sentence(f"liquidated in the last hour {said(total)} in {said(count)} orders{sampled}, {said(share)} of it sales")
    )


def _rank(notes: Notes, name: str, label: str, query: str, kind: str = "", span: str = "7d") -> tuple[Fact, Fact]:
    """Note the percentile of the last value of a query among the earlier ones, and how many those are."""
    pct = notes.fact(
        f"{name}_pct", f"percentile of {label}", Unit.PERCENTILE, query, f"{kind}percentile", decimals=PLACES, span=span
    )
    n = notes.fact(f"{name}_n", f"values behind the percentile of {label}", Unit.COUNT, query, f"{kind}earlier", span=span)
    return pct, n
