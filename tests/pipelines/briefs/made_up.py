"""Made-up sheets of several instruments, with facts of every unit, for drafts and renderings that need a market."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from random import Random
from typing import Any

from pipelines.briefs.fact import Fact, Unit, Value
from pipelines.briefs.sheet import Falsifier, Sentence, Sheet

AT = dt.datetime(2026, 3, 4, 14, 0, tzinfo=dt.UTC)
EARLIER = AT - dt.timedelta(hours=1)
INSTRUMENTS = (
    ("okx", "BTC-USDT"),
    ("okx", "ETH-USDT"),
    ("binance-usdm", "SOL-USDT-PERP"),
    ("coinbase", "XRP-USD"),
    ("binance-usdm", "1000PEPE-USDT-PERP"),
)


def fact(number: int, value: Value, unit: Unit, **other: Any) -> Fact:
    given = {"venue": "okx", "symbol": "BTC-USDT", "name": "vpin", "label": "VPIN", "decimals": 2, "as_of": AT}
    return Fact(id=f"F{number}", value=value, unit=unit, **{**given, **other})


@dataclass(frozen=True)
class Market:
    """One instrument's sheet, and its facts by name."""

    sheet: Sheet
    facts: dict[str, Fact]

    @property
    def name(self) -> str:
        return f"{self.sheet.symbol} {self.sheet.venue}"

    def __getitem__(self, name: str) -> str:
        """Return the placeholder of a fact."""
        return f"{{{self.facts[name].id}}}"

    def value(self, name: str) -> float:
        value = self.facts[name].value
        assert isinstance(value, int | float)
        return value


def market(random: Random, first: int, venue: str, symbol: str, *, sufficient: bool = True) -> Market:
    """Make up an instrument; its facts are numbered from `first`."""
    base, quote = symbol.split("-")[:2]
    vpin, spread = random.uniform(0.1, 0.8), random.uniform(0.2, 9.0)
    vpin_before, spread_before = _apart(random, vpin, 0.01), _apart(random, spread, 0.1)
    last_trade = AT - dt.timedelta(seconds=random.randint(1, 50))
    rows: list[tuple[str, str, Value, Unit, dict[str, Any]]] = [
        ("window", "window", 3600, Unit.SECONDS, {"measure": "setting"}),
        ("day", "window of a day", 86_400, Unit.SECONDS, {"measure": "setting"}),
        ("last_trade", "last trade", last_trade, Unit.TIME, {}),
        ("age", "age of the last trade", (AT - last_trade).total_seconds(), Unit.SECONDS, {}),
        ("holes", "holes in the record", random.randint(1, 12), Unit.COUNT, {"span": "24h"}),
        ("price", "price", random.uniform(0.5, 70_000), Unit.PRICE, {"asset": quote, "decimals": 2}),
        ("return_1h", "return", _signed(random, 0.001, 0.04), Unit.SHARE, {"span": "1h", "signed": True, "decimals": 2}),
        ("return_24h", "return", _signed(random, 0.001, 0.2), Unit.SHARE, {"span": "24h", "signed": True, "decimals": 2}),
        ("volume", "volume", random.uniform(1e3, 4e9), Unit.NOTIONAL, {"span": "1h", "asset": quote, "decimals": 2}),
        ("volume_pct", "percentile of volume", random.random(), Unit.PERCENTILE, {"decimals": 1}),
        ("rvol", "relative volume", random.uniform(0.2, 6.0), Unit.RATIO, {"decimals": 1}),
        ("vpin", "VPIN", vpin, Unit.SCORE, {"decimals": 3}),
        ("vpin_pct", "percentile of VPIN", random.uniform(0.9, 1.0), Unit.PERCENTILE, {"decimals": 1}),
        ("vpin_before", "VPIN at the last brief", vpin_before, Unit.SCORE, {"decimals": 3, "as_of": EARLIER}),
        ("band", "upper end of the null band of VPIN", _apart(random, vpin, 0.01), Unit.SCORE, {"decimals": 3}),
        ("values", "values it is held against", random.randint(200, 9000), Unit.COUNT, {}),
        ("spread", "spread", spread, Unit.BPS, {"decimals": 2}),
        ("spread_before", "spread at the last brief", spread_before, Unit.BPS, {"decimals": 2, "as_of": EARLIER}),
        ("spread_change", "change of the spread", spread - spread_before, Unit.BPS, {"decimals": 2, "signed": True}),
        ("volatility", "realized volatility", random.uniform(0.01, 0.9), Unit.SHARE, {"decimals": 1}),
        ("bid_size", "size at the best bid", random.uniform(0.1, 90.0), Unit.SIZE, {"asset": base, "decimals": 3}),
        ("posture", "posture", random.choice(["long", "short", "neutral"]), Unit.WORD, {}),
        ("funding", "funding rate", None, Unit.SHARE, {"decimals": 4, "signed": True}),
        ("hit_rate", "hit rate of the rule", random.uniform(0.4, 0.8), Unit.SHARE, {"decimals": 1}),
        ("cases", "scored cases of the rule", random.randint(20, 400), Unit.COUNT, {}),
        ("level", "level of VPIN that refutes it", random.uniform(0.05, 0.09), Unit.SCORE, {"decimals": 3, "measure": "setting"}),
        ("due", "time by which it is judged", AT + dt.timedelta(hours=4), Unit.TIME, {}),
    ]
    facts = {
        name: fact(first + i, value, unit, name=name, label=label, **{"decimals": 0, "venue": venue, "symbol": symbol, **other})
        for i, (name, label, value, unit, other) in enumerate(rows)
    }
    return Market(_sheet(facts, random.choice(["low", "medium", "high"]), sufficient=sufficient), facts)


def markets(random: Random, count: int = 3, *, sufficient: bool = True) -> list[Market]:
    """Make up several instruments; facts are numbered through."""
    chosen = random.sample(INSTRUMENTS, count)
    made = [market(random, 1 + 40 * i, *instrument) for i, instrument in enumerate(chosen)]
    return made if sufficient else [market(random, 1, *chosen[0], sufficient=False), *made[1:]]


def by_id(made: list[Market]) -> dict[str, Fact]:
    return {one.id: one for market in made for one in market.facts.values()}


def _sheet(facts: dict[str, Fact], confidence: str, *, sufficient: bool) -> Sheet:
    def said(text: str) -> Sentence:
        return Sentence(text.format_map({name: f"{{{fact.id}}}" for name, fact in facts.items()}))

    one = facts["vpin"]
    return Sheet(
        venue=one.venue,
        symbol=one.symbol,
        at=AT,
        facts=tuple(facts.values()),
        sufficient=sufficient,
        state=(said("last trade at {last_trade}, {age} before; holes in {day}: {holes}"),),
        levels=(
            said("price {price}, return {return_1h} over {window}, {return_24h} over {day}"),
            said("VPIN {vpin} ({vpin_pct} of {values} values)"),
            said("volume {volume} over {window} ({volume_pct}), relative volume {rvol}"),
        ),
        changes=(said("VPIN {vpin_before} -> {vpin}"), said("spread {spread_before} -> {spread}, change {spread_change}")),
        evidence=(said("flow is one-sided: VPIN {vpin} ({vpin_pct}), volume {volume_pct}"),),
        confidence=confidence,
        why_confidence=said("hit rate {hit_rate} of {cases} scored cases"),
        counter=(said("VPIN {vpin} against its null band up to {band}"),),
        falsifiers=(
            Falsifier(
                id="X1",
                venue=one.venue,
                symbol=one.symbol,
                claim="VPIN stays high",
                text=said("VPIN under {level} at {due}").text,
                measure="last",
                query="SELECT 1 AS value",
                op="<",
                level=0.07,
                due=AT + dt.timedelta(hours=4),
            ),
        ),
        record=(said("claims held: {hit_rate} of {cases}"),),
        unknown=(said("funding rate: {funding}"),),
    )


def _signed(random: Random, low: float, high: float) -> float:
    return random.choice([-1, 1]) * random.uniform(low, high)


def _apart(random: Random, value: float, least: float) -> float:
    """Return another value, far enough away to be shown as another."""
    return value * random.uniform(1.1, 1.5) + least if random.random() < 0.5 else value * random.uniform(0.3, 0.8)
