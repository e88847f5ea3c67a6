"""What the language model was asked and what that cost: a ledger in SQLite, and the limits of a day."""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from pipelines.brief_settings import Model
from pipelines.briefs.database import opened

LEDGER = """
CREATE TABLE IF NOT EXISTS calls (
    call INTEGER PRIMARY KEY, at REAL NOT NULL, date TEXT NOT NULL, kind TEXT NOT NULL, model TEXT NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, dollars REAL NOT NULL, settled INTEGER NOT NULL, why TEXT
);
"""
BOOK = """
INSERT INTO calls (at, date, kind, model, tokens_in, tokens_out, dollars, settled) VALUES (?, ?, ?, ?, ?, ?, ?, 0)
"""
DAY = "SELECT coalesce(sum(tokens_in + tokens_out), 0), coalesce(sum(dollars), 0), count(*) FROM calls WHERE date = ?"
BYTES_A_TOKEN = 2
"""Of a prompt, at least: what it may cost is said before it is sent, and rather too high."""


class Tokens(NamedTuple):
    """What a call takes: tokens sent, and tokens that the model writes."""

    sent: int
    written: int


class Day(NamedTuple):
    """What a UTC date has cost so far, with what is under way at its worst."""

    tokens: int
    dollars: float
    calls: int


class Spent:
    """The ledger of all processes that ask the model.

    A call begins only if its worst case fits into what is left of the day, and that is booked first: two processes at
    the same time, or one that dies under way, cannot go over a limit.

    Parameters
    ----------
    path
        The file; made when the first call is booked.
    model
        Limits and prices.
    clock
        Seconds since 1970.
    """

    def __init__(self, path: Path, model: Model, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._model = model
        self._clock = clock

    def book(self, kind: str, worst: Tokens, *, every_s: int = 0) -> int | str:
        """Book the worst case of a call; return its number, or why it may not be made.

        `every_s` is the least time since the call of this kind before it.
        """
        limits, now = self._model, self._clock()
        dollars = self._price(worst)
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            (last,) = db.execute("SELECT max(at) FROM calls WHERE kind = ?", [kind]).fetchone()
            if last is not None and 0 <= now - last < every_s:
                return f"the model was asked {now - last:.0f} s ago, and is asked every {every_s} s at most"
            today = Day(*db.execute(DAY, [_date(now)]).fetchone())
            if today.tokens + sum(worst) > limits.tokens_a_day:
                may = f"this may take {sum(worst):,}"
                return f"the day's tokens do not suffice: {today.tokens:,} of {limits.tokens_a_day:,} are used, and {may}"
            if today.dollars + dollars > limits.dollars_a_day:
                may = f"this may take {dollars:.4f}"
                spent = f"{today.dollars:.4f} of {limits.dollars_a_day:.4f} dollars"
                return f"the day's money does not suffice: {spent} is used, and {may}"
            booked = db.execute(BOOK, (now, _date(now), kind, limits.name, *worst, dollars)).lastrowid
            db.execute("COMMIT")
            assert booked is not None
            return booked

    def settle(self, call: int, tokens: Tokens | None, why: str | None = None) -> None:
        """Note the tokens of a call, in and out (None: the worst case stands), and why its answer was not used."""
        with self._open() as db:
            if tokens is not None:
                values = (*tokens, self._price(tokens), call)
                db.execute("UPDATE calls SET tokens_in = ?, tokens_out = ?, dollars = ? WHERE call = ?", values)
            db.execute("UPDATE calls SET settled = 1, why = ? WHERE call = ?", (why, call))

    def today(self) -> Day:
        """Return what this UTC date has cost."""
        if not self.path.exists():
            return Day(0, 0.0, 0)
        with self._open() as db:
            return Day(*db.execute(DAY, [_date(self._clock())]).fetchone())

    def _price(self, tokens: Tokens) -> float:
        return (tokens.sent * self._model.dollars_in + tokens.written * self._model.dollars_out) / 1e6

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(opened(self.path, LEDGER)) as db:
            yield db


def worst_case(prompt_bytes: int, answers: int, output_tokens: int) -> Tokens:
    """Return what a prompt may take that is answered up to so many times: each answer goes back in with the next request."""
    again = answers * (answers - 1) // 2 * output_tokens
    return Tokens(answers * (prompt_bytes // BYTES_A_TOKEN + 1) + again, answers * output_tokens)


def _date(now: float) -> str:
    return dt.datetime.fromtimestamp(now, dt.UTC).date().isoformat()
