"""A brief as Markdown, with the table of its facts: every number with all that is needed to make it again."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Final

from pipelines.briefs.fact import MISSING, Fact
from pipelines.briefs.words import one_line, shown

COLUMNS: Final = ("id", "instrument", "what", "value", "exact", "unit", "span", "as of", "n", "sealed", "measure", "query")
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>#|~&@$]|^[+-]|(?<=\w)[.:](?=[^\s\d]))")
"""Also what makes a list at the beginning of a line, and a link of www.x.example or https://x."""
_ITEM: Final = "- "


def markdown(title: str, head: Sequence[str], sections: Sequence[Sequence[str]], facts: Sequence[Fact]) -> str:
    """Return a brief as Markdown; of each section the first line is its title, and lines that begin with - are a list."""
    parts = [f"# {escaped(title)}", *_lines(head)]
    for name, *lines in sections:
        parts += [f"## {escaped(name)}", *_lines(lines)]
    return "\n\n".join(_joined(parts)) + f"\n\n## Facts\n\n{table(facts)}\n"


def table(facts: Sequence[Fact]) -> str:
    """Return the table of facts."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(_row, facts)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def escaped(text: str) -> str:
    """Return text that Markdown and HTML take as letters only."""
    return _MARKUP.sub(r"\\\1", one_line(text))


def _row(fact: Fact) -> tuple[str, ...]:
    said = (fact.id, f"{fact.symbol} {fact.venue}", fact.label, shown(fact), _exact(fact), fact.unit.value, fact.span)
    rest = (_iso(fact.as_of), str(fact.n), "yes" if fact.sealed else "no", fact.measure)
    return (*map(escaped, (*said, *rest)), _code(fact.query))


def _exact(fact: Fact) -> str:
    if fact.value is None:
        return MISSING
    return _iso(fact.value) if isinstance(fact.value, dt.datetime) else str(fact.value)


def _iso(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).isoformat()


def _code(query: str) -> str:
    """Return SQL as a cell; a backtick in it would end the cell's code."""
    one = one_line(query).replace("`", "'").replace("|", r"\|")
    return f"`{one}`" if one else ""


def _lines(lines: Sequence[str]) -> list[str]:
    return [_ITEM + escaped(line[len(_ITEM) :]) if line.startswith(_ITEM) else escaped(line) for line in lines]


def _joined(parts: Sequence[str]) -> list[str]:
    """Return paragraphs; items that follow one another are one list."""
    joined: list[str] = []
    for part in parts:
        if joined and part.startswith(_ITEM) and joined[-1].startswith(_ITEM):
            joined[-1] += f"\n{part}"
        else:
            joined.append(part)
    return joined
