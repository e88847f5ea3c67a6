"""Facts of what a query gave: each cell has an id, a unit that follows from its column, and SQL that gives it again."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any, Final

import polars as pl

from pipelines.briefs.fact import Fact, Unit, Value
from pipelines.briefs.measure import digest
from pipelines.briefs.notes import decimals
from pipelines.briefs.words import shown

MOST: Final = 400
"""Cells of one result that become facts."""
PLACES: Final = 6
_UNITS: Final[dict[Unit, tuple[str, ...]]] = {
    Unit.PRICE: ("open", "high", "low", "close", "vwap", "price", "bid", "ask", "mark_price", "index_price", "microprice"),
    Unit.NOTIONAL: ("notional", "liquidated"),
    Unit.SIZE: ("volume", "buy_volume", "size", "bucket_volume", "bid_size", "ask_size"),
    Unit.PERCENTILE: ("pct", "percentile"),
    Unit.SCORE: ("vpin_flag", "vpin_bvc", "null_low", "null_high", "p_up", "score", "threshold"),
}
_ENDS: Final = {"_bps": Unit.BPS, "_s": Unit.SECONDS, "_pct": Unit.PERCENTILE, "_share": Unit.SHARE}
_BEGINNINGS: Final = {"rvol": Unit.RATIO, "trade_imbalance": Unit.SHARE, "ofi": Unit.SIZE, "atr": Unit.PRICE}


class Cells:
    """Facts as they are made of results, numbered on.

    Parameters
    ----------
    first
        Number of the first.
    at
        As of when they hold.
    """

    def __init__(self, first: int, at: dt.datetime) -> None:
        self.facts: dict[str, Fact] = {}
        self._next = first
        self._at = at

    def add(self, frame: pl.DataFrame, query: str, *, venue: str = "", symbol: str = "", label: str = "") -> list[dict[str, str]]:
        """Note the cells of a result; return its rows with `id: value` in each cell, as a model is shown them.

        `venue` and `symbol` say whom it is about where the rows do not; `label` comes before the column's name.
        """
        rows = []
        for k, row in enumerate(frame.iter_rows(named=True)):
            if len(row) * (k + 1) > MOST:
                break
            about = (str(row.get("venue") or venue), str(row.get("symbol") or symbol))
            rows.append({name: self._cell(name, value, query, k, about, label) for name, value in row.items()})
        return rows

    def _cell(self, name: str, value: Any, query: str, k: int, about: tuple[str, str], label: str) -> str:
        if name in {"venue", "symbol"}:
            return str(value)
        known, unit = _value(value), unit_of(name, value)
        one = f'SELECT "{name.replace(chr(34), 2 * chr(34))}" AS value FROM ({query}) LIMIT 1 OFFSET {k}'
        fact = Fact(
            id=f"F{self._next}",
            venue=about[0],
            symbol=about[1],
            name=name,
            label=f"{label} {name.replace('_', ' ')}".strip(),
            value=known,
            unit=unit,
            asset=_asset(unit, about[1]),
            decimals=_places(known, unit),
            n=1,
            query=one,
            rows_digest=digest(pl.DataFrame({"value": [known]}, strict=False)),
            as_of=self._at,
        )
        self._next += 1
        self.facts[fact.id] = fact
        return f"{fact.id}: {shown(fact)}"


def unit_of(name: str, value: object) -> Unit:
    """Return what a column's values count; what its name does not tell is a count if whole, else a bare number."""
    if isinstance(value, dt.datetime | dt.date):
        return Unit.TIME
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Unit.WORD if value is not None else _named(name) or Unit.SCORE
    return _named(name) or (Unit.COUNT if isinstance(value, int) else Unit.SCORE)


def _named(name: str) -> Unit | None:
    found = [unit for unit, names in _UNITS.items() if name in names]
    found += [unit for end, unit in _ENDS.items() if name.endswith(end)]
    found += [unit for begin, unit in _BEGINNINGS.items() if name.startswith(begin)]
    return found[0] if found else None


def _value(value: Any) -> Value:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return value if math.isfinite(value) else None
        case int() | str() | dt.datetime() | None:
            return value
        case dt.date():
            return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    return str(value)


def _places(value: Value, unit: Unit) -> int:
    if unit is Unit.NOTIONAL:
        return 2  # of thousands or millions
    places = min(decimals(value), PLACES) if isinstance(value, float) and math.isfinite(value) else 0
    return max(0, places - 2) if unit in {Unit.SHARE, Unit.PERCENTILE} else places


def _asset(unit: Unit, symbol: str) -> str:
    base, _, rest = symbol.partition("-")
    return base if unit is Unit.SIZE else rest.partition("-")[0] if unit in {Unit.PRICE, Unit.NOTIONAL} else ""
