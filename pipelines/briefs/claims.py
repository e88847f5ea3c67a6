"""What is claimed of an instrument, by fixed rules: each claim rests on two numbers, and says what would refute it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final, NamedTuple

from pipelines.briefs.fact import Unit
from pipelines.briefs.levels import Level, Levels
from pipelines.briefs.notes import Notes, number, said
from pipelines.briefs.queries import HOUR, WEEK, Queries, fresh
from pipelines.briefs.reading import text
from pipelines.briefs.sheet import Falsifier, Sentence
from pipelines.settings import Settings

HIGH: Final = 0.9
"""Percentile from which a level is high."""
LOW: Final = 0.1
"""Percentile up to which a level is low."""
TWO_ENDED: Final = frozenset(("traded", "rvol", "volatility", "range"))
"""Levels that are unusual where they are low, too; docs/decisions/0032-claims.md says why not others."""
FALLEN: Final = 0.75
"""Percentile below which a level that was high no longer is."""
USUAL: Final = 0.5
WIDE: Final = 0.95
"""Percentile above which a level that was claimed to be usual is not."""
RECENT: Final = dt.timedelta(minutes=15)
"""Rows that judge a claim must reach this close to its time; otherwise it is unknown."""


class Refuted(NamedTuple):
    """What refutes a claim: the value of `measure` over `query`, held against `level`, `shown` in the level's unit."""

    what: str
    measure: str
    query: str
    op: str
    level: float
    unit: Unit = Unit.PERCENTILE
    decimals: int = 1
    asset: str = ""


class Claim(NamedTuple):
    """A claim. `falsified` is the kind under which its record is kept; `detector` the one whose score bears on it."""

    name: str
    sentence: Sentence
    falsified: str
    refuted: Refuted
    detector: str | None = None


class Rules(NamedTuple):
    """The rules that make claims of levels, to be judged an hour later."""

    notes: Notes
    levels: Levels
    settings: Settings

    @property
    def later(self) -> Queries:
        """Queries of rows up to when claims are judged."""
        return self.notes.about._replace(at=self.notes.about.at + HOUR)

    def claims(self) -> list[Claim]:
        """Return what can be claimed; that levels are usual, only where nothing else is."""
        found = [self.one_sided(), self.volatile(), self.busy(), self.quiet(), self.thin(), self.leaning(), self.forced()]
        return [claim for claim in found if claim] or [claim for claim in [self.usual()] if claim]

    def one_sided(self) -> Claim | None:
        """VPIN and trade imbalance are both high."""
        vpin, imbalance = self.high("vpin", self.settings.kernels.detectors.vpin_high.pct), self.high("imbalance")
        if not vpin or not imbalance:
            return None
        told = f"flow is one-sided: VPIN at {said(vpin.pct)}, trade imbalance {said(imbalance.now)} at {said(imbalance.pct)}"
        count = self.settings.kernels.percentile_window + 1
        query = fresh(self.later.vpin("vpin_flag", vpin.now.span, count), self.notes.about.at, "date, bucket")
        return Claim(
            "one-sided", Sentence(told), "VPIN stays high", Refuted("VPIN", "percentile", query, "<", FALLEN), "vpin_high"
        )

    def volatile(self) -> Claim | None:
        """Volatility and range of the hour are both high."""
        volatility, span = self.high("volatility"), self.high("range")
        if not volatility or not span:
            return None
        told = (
            f"prices are volatile: volatility {said(volatility.now)} at {said(volatility.pct)},"
            f" range {said(span.now)} at {said(span.pct)}"
        )
        refuted = Refuted("volatility", "percentile", self.minute("rv_1h"), "<", FALLEN)
        return Claim("volatile", Sentence(told), "volatility stays high", refuted, "volatility_jump")

    def busy(self) -> Claim | None:
        """What is traded is high against the hours before, and against the windows just before."""
        traded, rvol = self.high("traded"), self.high("rvol")
        if not traded or not rvol:
            return None
        told = (
            f"trading is busy: {said(traded.now)} in the last hour at {said(traded.pct)},"
            f" relative volume {said(rvol.now)} at {said(rvol.pct)}"
        )
        return Claim("busy", Sentence(told), "trading stays busy", self.traded_in_an_hour("<"), "rvol_spike")

    def quiet(self) -> Claim | None:
        """What is traded is low against the hours before, and prices hardly move."""
        traded, volatility = self.low("traded"), self.low("volatility")
        if not traded or not volatility:
            return None
        told = (
            f"the market is quiet: {said(traded.now)} in the last hour at {said(traded.pct)},"
            f" volatility {said(volatility.now)} at {said(volatility.pct)}"
        )
        return Claim("quiet", Sentence(told), "trading stays quiet", self.traded_in_an_hour(">"))

    def thin(self) -> Claim | None:
        """Spread and price impact are both high."""
        spread, impact = self.high("spread"), self.high("impact")
        if not spread or not impact:
            return None
        told = f"liquidity is thin: spread {said(spread.now)} at {said(spread.pct)}, Amihud price impact at {said(impact.pct)}"
        refuted = Refuted("the spread", "percentile", self.minute("spread_bps"), "<", FALLEN)
        return Claim("thin", Sentence(told), "spread stays wide", refuted, "liquidity_drain")

    def leaning(self) -> Claim | None:
        """Posture is not flat, and price and flow have its sign."""
        posture, hour, imbalance = (
            self.levels.other.get("posture"),
            self.levels.other["return_hour"],
            self.levels.by_name.get("imbalance"),
        )
        sign = {"long": 1, "short": -1}.get(str(posture.value) if posture else "", 0)
        moved, flow = number(hour), number(imbalance.now) if imbalance else None
        if not posture or not imbalance or not sign or not moved or not flow or moved * sign < 0 or flow * sign < 0:
            return None
        told = (
            f"price and flow agree: posture {said(posture)}, {said(hour)} in the last hour, trade imbalance {said(imbalance.now)}"
        )
        states = self.later.rows("posture", f'"end", state <> {text(str(posture.value))} AS value', HOUR)
        refuted = Refuted(
            "the share of minutes with another posture", "share", fresh(states, self.later.at - RECENT), ">", USUAL, Unit.SHARE, 0
        )
        return Claim("leaning", Sentence(told), f"posture stays {posture.value}", refuted, "new_trend")

    def forced(self) -> Claim | None:
        """Orders were forced while the range was wide."""
        amount, span = self.levels.other.get("liquidated"), self.high("range")
        if not amount or not span or not number(amount):
            return None
        told = f"orders were forced in a wide range: {said(amount)} liquidated, range {said(span.now)} at {said(span.pct)}"
        # Minutes without any count as 0, so that data that are missing are told from none liquidated.
        none = self.later.minutes('"end", 0.0 AS value', HOUR)
        some = self.later.rows("liquidations", '"end", notional AS value', HOUR)
        query = fresh(f'SELECT * FROM (({none}) UNION ALL ({some})) ORDER BY "end"', self.later.at - RECENT)
        refuted = Refuted(
            "what is liquidated in an hour", "sum", query, ">", number(amount) or 0.0, Unit.NOTIONAL, 2, self.notes.quote
        )
        return Claim("forced", Sentence(told), "liquidations grow no further", refuted, "liquidation_spike")

    def usual(self) -> Claim | None:
        """No level is high, and none low of which that says something."""
        known = {name: level for name, level in self.levels.by_name.items() if level.pct.value is not None}
        volatility, second = known.get("volatility"), known.get("traded") or known.get("vpin") or known.get("rvol")
        if not volatility or not second or any(unusual(name, level) for name, level in known.items()):
            return None
        told = f"no level is unusual: volatility at {said(volatility.pct)}, {second.now.label} at {said(second.pct)}"
        refuted = Refuted("volatility", "percentile", self.minute("rv_1h"), ">", WIDE)
        return Claim("usual", Sentence(told), "volatility stays usual", refuted)

    def high(self, name: str, least: float = HIGH) -> Level | None:
        """Return a level that is at least at this percentile."""
        level = self.levels.by_name.get(name)
        return level if level and (number(level.pct) or 0.0) >= least else None

    def low(self, name: str) -> Level | None:
        """Return a level that is low."""
        level = self.levels.by_name.get(name)
        pct = number(level.pct) if level else None
        return level if pct is not None and pct <= LOW else None

    def traded_in_an_hour(self, op: str) -> Refuted:
        """Return how trading of the next hour refutes a claim about that of the last."""
        query = fresh(self.later.hours("notional", WEEK), self.later.at - RECENT)
        return Refuted("what is traded in an hour", "sums_percentile", query, op, USUAL)

    def minute(self, column: str) -> str:
        """Return a column of features up to when claims are judged, if it is known then."""
        rows = self.later.rows("features", f'"end", {column} AS value', WEEK, where=f"{column} IS NOT NULL")
        return fresh(rows, self.later.at - RECENT)


def unusual(name: str, level: Level) -> bool:
    """Whether a level is high, or low where that says something, too."""
    pct = number(level.pct)
    return pct is not None and (pct >= HIGH or (pct <= LOW and name in TWO_ENDED))


def falsifier(notes: Notes, claim: Claim, numbers: Iterator[int]) -> Falsifier:
    """Return what would refute a claim, with the facts that say so."""
    due = notes.about.at + HOUR
    refuted = claim.refuted
    level = notes.setting(
        f"refutes {claim.falsified}",
        f"refutes: {claim.falsified}",
        refuted.level,
        refuted.unit,
        decimals=refuted.decimals,
        asset=refuted.asset,
    )
    when = notes.setting("due", "when claims are judged", due, Unit.TIME)
    side = "below" if refuted.op == "<" else "above"
    return Falsifier(
        id=f"X{next(numbers)}",
        venue=notes.about.venue,
        symbol=notes.about.symbol,
        claim=claim.falsified,
        text=f"{claim.falsified}: refuted if {refuted.what} is {side} {said(level)} at {said(when)}",
        measure=refuted.measure,
        query=refuted.query,
        op=refuted.op,
        level=refuted.level,
        due=due,
    )
