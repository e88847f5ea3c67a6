"""The facts of one sheet as they are found: each is measured, numbered, and named once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pipelines.briefs.fact import Fact, Unit, Value
from pipelines.briefs.measure import SETTING, digest, measured
from pipelines.briefs.queries import MONTH, Queries
from pipelines.briefs.reading import Reader


class Notes:
    """Facts about an instrument.

    Parameters
    ----------
    reader
    venue, symbol
    numbers
        Where ids come from; shared by the sheets of a brief.
    """

    def __init__(self, reader: Reader, venue: str, symbol: str, numbers: Iterator[int]) -> None:
        self.reader = reader
        self.about = Queries(venue, symbol, reader.at)
        self.facts: list[Fact] = []
        self.base, _, rest = symbol.partition("-")
        self.quote = rest.partition("-")[0]
        self._numbers = numbers
        self._sealed = self._sealed_dates()

    def fact(self, name: str, label: str, unit: Unit, query: str, measure: str = "last", **shown: Any) -> Fact:
        """Measure the rows of a query and note what came of it; `shown`: asset, decimals, signed, span."""
        rows = self.reader.rows(query)
        dates = set(rows["date"].to_list()) if "date" in rows.columns else set()
        return self._note(
            name=name,
            label=label,
            value=measured(rows, measure),
            unit=unit,
            n=rows.height,
            measure=measure,
            query=query,
            rows_digest=digest(rows),
            sealed=bool(dates) and dates <= self._sealed,
            **shown,
        )

    def setting(self, name: str, label: str, value: Value, unit: Unit, **shown: Any) -> Fact:
        """Note a value that was agreed, not measured: a limit, a window, a time by which something is judged."""
        same = [f for f in self.facts if (f.name, f.value) == (name, value)]
        return same[0] if same else self._note(name=name, label=label, value=value, unit=unit, measure=SETTING, **shown)

    def span(self, length: dt.timedelta) -> Fact:
        """Note a length of time."""
        seconds = int(length.total_seconds())
        return self.setting(f"span_{seconds}", "length of time", seconds, Unit.SECONDS)

    def _note(self, **parts: Any) -> Fact:
        known: dict[str, Any] = {"venue": self.about.venue, "symbol": self.about.symbol, "as_of": self.reader.at}
        self.facts.append(Fact(id=f"F{next(self._numbers)}", **(known | parts)))
        return self.facts[-1]

    def _sealed_dates(self) -> set[dt.date]:
        """Return the dates of the last month that had been sealed by then."""
        rows = self.reader.rows(self.about.newest("seals", "ts", MONTH, "ts"))
        return set(rows["date"].to_list())


def said(fact: Fact) -> str:
    """Return the place of a fact in a sentence."""
    return f"{{{fact.id}}}"


def number(fact: Fact) -> float | None:
    """Return the value of a fact that is a number."""
    return float(fact.value) if isinstance(fact.value, int | float) else None


def decimals(value: float) -> int:
    """Return how many digits behind the point a float needs."""
    return max(0, -int(Decimal(repr(value)).normalize().as_tuple().exponent))
