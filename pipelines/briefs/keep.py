"""Briefs in the lake: written once, read back as they were."""

from __future__ import annotations

import datetime as dt
import difflib
import time
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from pipelines.briefs import words
from pipelines.briefs.fact import Fact, Unit, Value
from pipelines.briefs.sheet import Brief, Falsifier
from pipelines.market import TABLES
from pipelines.store import LakeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.store.lake import Lake

WRITER: Final = "brief"
"""Begins the names of the files of briefs; behind it stands when they were written, ns since 1970."""
_WHOLE: Final = frozenset({Unit.COUNT})
"""Units whose values are whole numbers, which the lake keeps as floats."""


def keep(lake: Lake, brief: Brief) -> bool:
    """Put a brief with its facts and falsifiers into the lake; False if it was there.

    The brief itself comes last: whoever sees it sees its facts.
    """
    lake.create()
    rows = {"facts": [_fact(brief, f) for f in brief.facts], "falsifiers": _falsifiers(brief), "briefs": [_brief(brief)]}
    return [_add(lake, table, brief.id, mine) for table, mine in rows.items()][-1]


def load(lake: Lake, brief_id: str | None = None) -> Brief:
    """Return a brief of the lake, by default the newest.

    Raises
    ------
    LakeError
        If it is not there; the message names what comes near.
    """
    briefs = lake.table("briefs").sort("ts", "brief").collect()
    if briefs.is_empty():
        raise LakeError("no brief in this lake yet")
    known = briefs["brief"].to_list()
    wanted = known[-1] if brief_id is None else _named(brief_id, known)
    row = briefs.row(known.index(wanted), named=True)
    facts = lake.table("facts", brief=wanted, date=row["date"]).collect().rows(named=True)
    made = lake.table("falsifiers", brief=wanted).sort("falsifier").collect().rows(named=True)
    return Brief(
        id=wanted,
        kind=row["kind"],
        venue=row["venue"],
        symbol=row["symbol"],
        at=row["ts"],
        episode=row["episode"],
        changed=row["changed"],
        facts=tuple(sorted((as_fact(f) for f in facts), key=lambda f: int(f.id[1:]))),
        falsifiers=tuple(_as_falsifier(f) for f in made),
        head=row["head"],
        thread=row["thread"],
        markdown=row["markdown"],
        writer=row["writer"],
        why=row["why"],
        digest=row["digest"],
    )


def _named(typed: str, known: Sequence[str]) -> str:
    """Return the brief whose id begins as typed; the newest ones are named where none does."""
    found = [name for name in known if name.startswith(typed)] if typed else []
    if len(set(found)) == 1 or typed in found:
        return typed if typed in found else found[0]
    near = found or difflib.get_close_matches(typed, known, 3, 0.5)
    hint = f"did you mean {' or '.join(near[:3])}?" if near else f"the newest are {', '.join(known[-3:][::-1])}"
    raise LakeError(f"no brief {typed!r}; {hint}")


def _add(lake: Lake, table: str, brief: str, rows: list[dict[str, Any]]) -> bool:
    once = f"brief.{brief}"
    if not rows or lake.version(table, once) is not None:
        return False
    name = f"{WRITER}-{time.time_ns()}"  # one writer's files, which upkeep merges
    staged = lake.stage(table, pa.Table.from_pylist(rows, TABLES[table].lake_schema), name, {"source": "briefs"})
    return lake.commit(table, once, 0, staged)


def _brief(brief: Brief) -> dict[str, Any]:
    return {
        "date": brief.at.astimezone(dt.UTC).date(),
        "venue": brief.venue,
        "symbol": brief.symbol,
        "brief": brief.id,
        "ts": brief.at,
        "end": brief.at,
        "kind": brief.kind,
        "episode": brief.episode,
        "changed": brief.changed,
        "head": brief.head,
        "thread": brief.thread,
        "markdown": brief.markdown,
        "writer": brief.writer,
        "why": brief.why,
        "digest": brief.digest,
        "facts": len(brief.facts),
    }


def _fact(brief: Brief, fact: Fact) -> dict[str, Any]:
    number = float(fact.value) if isinstance(fact.value, int | float) else None
    return {
        "date": brief.at.astimezone(dt.UTC).date(),
        "venue": fact.venue,
        "symbol": fact.symbol,
        "brief": brief.id,
        "fact": fact.id,
        "ts": fact.as_of,
        "end": fact.as_of,
        "name": fact.name,
        "label": fact.label,
        "value": number,
        "text": None if number is not None or fact.value is None else _text(fact.value),
        "unit": fact.unit.value,
        "asset": fact.asset,
        "decimals": fact.decimals,
        "signed": fact.signed,
        "span": fact.span,
        "n": fact.n,
        "measure": fact.measure,
        "query": fact.query,
        "rows_digest": fact.rows_digest,
        "sealed": fact.sealed,
    }


def _text(value: Value) -> str:
    return value.astimezone(dt.UTC).isoformat() if isinstance(value, dt.datetime) else str(value)


def as_fact(row: dict[str, Any]) -> Fact:
    """Return a fact as it was, from its row."""
    unit = Unit(row["unit"])
    value: Value = row["text"] if row["value"] is None else row["value"]
    if unit in _WHOLE and isinstance(value, float) and value.is_integer():
        value = int(value)
    if unit is Unit.TIME and isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    same = ("venue", "symbol", "name", "label", "asset", "decimals", "signed", "span", "n", "measure", "query", "rows_digest")
    return Fact(id=row["fact"], value=value, unit=unit, as_of=row["ts"], sealed=row["sealed"], **{k: row[k] for k in same})


def _falsifiers(brief: Brief) -> list[dict[str, Any]]:
    """Return the claims of a brief as open ones; what refutes them is kept with its numbers in."""
    facts = {fact.id: fact for fact in brief.facts}
    return [
        {
            "date": brief.at.astimezone(dt.UTC).date(),
            "venue": made.venue,
            "symbol": made.symbol,
            "brief": brief.id,
            "falsifier": made.id,
            "ts": brief.at,
            "end": made.due,
            "claim": made.claim,
            "test": words.insert(made.text, facts),
            "measure": made.measure,
            "query": made.query,
            "op": made.op,
            "level": made.level,
            "value": None,
            "outcome": "open",
            "as_of": brief.at,
        }
        for made in brief.falsifiers
    ]


def _as_falsifier(row: dict[str, Any]) -> Falsifier:
    same = ("venue", "symbol", "claim", "measure", "query", "op", "level")
    return Falsifier(id=row["falsifier"], text=row["test"], due=row["end"], **{k: row[k] for k in same})
