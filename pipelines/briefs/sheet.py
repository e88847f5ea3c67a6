"""What is known of an instrument, and a brief made of it; all that a person reads is words with facts put in."""

from __future__ import annotations

import datetime as dt
from typing import Final

import msgspec

from pipelines.briefs.fact import Fact


class Sentence(msgspec.Struct, frozen=True):
    """Words with placeholders `{F12}` for facts: all that a person reads is made of these. No digit of its own."""

    text: str


FIRST: Final = Sentence("the first brief of its kind: nothing to compare with")
"""Stands among the changes where there is no earlier brief."""


class Falsifier(msgspec.Struct, frozen=True, kw_only=True):
    """What would refute a claim: the value of `measure` over `query`, held against `level` once `due` has come.

    `text` says it with placeholders of facts for level and time.
    """

    id: str
    venue: str
    symbol: str
    claim: str
    text: str
    measure: str
    query: str
    op: str
    level: float
    due: dt.datetime


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one instrument, in the order in which it is told. `facts` holds every fact that a sentence names."""

    venue: str
    symbol: str
    at: dt.datetime
    facts: tuple[Fact, ...]
    sufficient: bool
    """Whether there is enough to say anything; if not, only `state` and `unknown` are told."""
    state: tuple[Sentence, ...]
    levels: tuple[Sentence, ...] = ()
    changes: tuple[Sentence, ...] = ()
    evidence: tuple[Sentence, ...] = ()
    confidence: str = "low"
    """low, medium or high, by rule."""
    why_confidence: Sentence | None = None
    counter: tuple[Sentence, ...] = ()
    falsifiers: tuple[Falsifier, ...] = ()
    record: tuple[Sentence, ...] = ()
    """How earlier falsifiers came out."""
    unknown: tuple[Sentence, ...] = ()


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """A brief as it is sent and kept."""

    id: str
    kind: str
    venue: str
    symbol: str
    at: dt.datetime
    episode: str | None
    changed: bool
    facts: tuple[Fact, ...]
    falsifiers: tuple[Falsifier, ...]
    head: str
    thread: str
    markdown: str
    writer: str = "template"
    why: str | None = None
    digest: str
