"""What a language model may hand in: lines with placeholders for facts, of which code makes a brief."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Draft:
    """Lines of a brief in a model's words; every number is a placeholder `{F12}`.

    A line names the instrument that it speaks of. A line of an instrument alone, like `BTC-USDT okx`, heads the lines below it.

    Attributes
    ----------
    head : list of str
        The message: a few short lines.
    thread : list of str
        What is told under it.
    """

    head: list[str]
    thread: list[str]

    @property
    def text(self) -> str:
        """All lines, as `check` takes them."""
        return "\n".join([*self.head, *self.thread])
