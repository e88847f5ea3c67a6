"""Which instruments a text names: by symbol, base asset or an asset's common name, with or without the venue."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from pipelines.news.mentions import NAMES, PROPER

Instrument = tuple[str, str]
"""Venue and symbol."""
_AROUND: Final = r"[\s:,.()\-]*"


class Mention(NamedTuple):
    """A place in a text that names an instrument; `meant` holds more than one where the venue is missing, none if none fits."""

    start: int
    end: int
    meant: frozenset[Instrument]


class Names:
    """The names of instruments.

    Parameters
    ----------
    instruments
        Venue and symbol of each that may be spoken of.
    """

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self.instruments = tuple(dict.fromkeys(instruments))
        self._meant: dict[str, frozenset[Instrument]] = {}
        for one in self.instruments:
            for name in _names(one[1]):
                self._meant[name] = self._meant.get(name, frozenset()) | {one}
        venues = "|".join(_longest(re.escape(venue) for venue, _ in self.instruments))
        names = "|".join(_longest(map(re.escape, self._meant)))
        behind = rf"(?:(?: on | \(| )({venues})(?![\w-])\)?)?" if venues else "()"
        self._pattern = re.compile(rf"(?<![\w{{-])({names})(?!-?\w){behind}") if names else None

    def mentions(self, text: str) -> list[Mention]:
        """Return where instruments are named, in order."""
        found = self._pattern.finditer(text) if self._pattern else ()
        return [Mention(m.start(), m.end(), self._of(m[1], m[2])) for m in found]

    def heading(self, line: str) -> frozenset[Instrument] | None:
        """Return whom a line heads that names an instrument and says nothing else; None if it is no such line."""
        mentions = self.mentions(line)
        if len(mentions) != 1:
            return None
        around = line[: mentions[0].start] + line[mentions[0].end :]
        return mentions[0].meant if re.fullmatch(_AROUND, around) else None

    def shown(self, one: Instrument) -> str:
        """Return the shortest name by which an instrument is known: its symbol, with its venue where others have it, too."""
        venue, symbol = one
        return symbol if len(self._meant[symbol]) == 1 else f"{symbol} {venue}"

    def _of(self, name: str, venue: str | None) -> frozenset[Instrument]:
        meant = self._meant[name]
        return frozenset(one for one in meant if one[0] == venue) if venue else meant


def _names(symbol: str) -> list[str]:
    base = symbol.partition("-")[0]
    known = [name for name, asset in NAMES.items() if asset == base]
    return [*dict.fromkeys([symbol, base, *(n.capitalize() for n in known), *(n for n in known if n not in PROPER)])]


def _longest(names: Iterable[str]) -> list[str]:
    """Return names so that none comes before one that it begins."""
    return sorted(dict.fromkeys(names), key=lambda name: (-len(name), name))
