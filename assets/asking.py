"""A question answered by the language model: typed tools that read the lake, limits on all they do, every number a fact."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Final, NamedTuple

import msgspec

from assets.language import Refused, Talk, call
from pipelines.briefs import asked as by_rule
from pipelines.briefs import prompt, sandbox
from pipelines.briefs.allowed import Refused as NotRun
from pipelines.briefs.allowed import checked, grounded
from pipelines.briefs.asked import Asked, Unanswerable
from pipelines.briefs.budget import Spent, Tokens
from pipelines.briefs.cells import Cells
from pipelines.briefs.fact import Fact
from pipelines.briefs.naming import Instrument
from pipelines.briefs.queries import DAY, between
from pipelines.briefs.reading import text
from pipelines.briefs.sheet import Sheet
from pipelines.briefs.words import insert, named
from pipelines.market import TABLES
from pipelines.settings import Settings
from pipelines.store import LakeError
from pipelines.store.lake import HISTORY, Lake
from pipelines.store.names import bounds

REQUESTS: Final = 8
CALLS: Final = 10
"""Of tools, in one question."""
SENT: Final = 80_000
"""Tokens that one question may send, all requests together."""
ROWS: Final = 40
CHARACTERS: Final = 12_000
"""Of what one tool answers."""
LIMITS: Final = sandbox.Limits(seconds=8.0, rows=ROWS)
TIMES: Final = 3
"""A question may take so many times what a brief may."""


@dataclass(frozen=True)
class Reply:
    """Lines that answer the question, every number a placeholder like {F12}."""

    lines: list[str]


class Worded(NamedTuple):
    """The answer of a model with its numbers in place, the facts it names, the queries it ran, or why there is none."""

    lines: list[str]
    facts: list[Fact]
    queries: list[str]
    why: str | None


def ask(lake: Lake, question: str, found: Asked, settings: Settings, spent: Spent | None = None) -> Worded:
    """Let the model answer a question about which a rule has found something already."""
    model = settings.briefs.model
    ledger = spent or Spent(settings.data / "briefs" / "model.db", model)
    desk = Desk(lake, settings, found)
    message = prompt.question(question, found.question.window.end, found.sheets)

    async def answer(talk: Talk) -> Reply:
        from pydantic_ai import Agent, UsageLimits

        tools = [desk.about, desk.bars, desk.alerts, desk.columns, desk.sql]
        agent = Agent(talk.client, output_type=Reply, instructions=prompt.ASK, tools=tools, retries=1)

        @agent.output_validator
        def _judged(reply: Reply) -> Reply:
            talk.judge("\n".join(reply.lines), desk.facts, [*desk.sheets.values()])
            return reply

        limits = UsageLimits(
            request_limit=REQUESTS,
            tool_calls_limit=CALLS,
            input_tokens_limit=SENT,
            output_tokens_limit=REQUESTS * model.output_tokens,
        )
        options = talk.options()
        run = await agent.run(message, usage=talk.used, usage_limits=limits, model_settings=options, timeout=talk.seconds)
        return run.output

    worst = Tokens(SENT, REQUESTS * model.output_tokens)
    got = call(answer, model, ledger, by_rule.KIND, worst, min(120.0, TIMES * model.timeout_s))
    if isinstance(got, Refused):
        return Worded([], [], desk.queries, got.why)
    facts = desk.facts
    ids = dict.fromkeys(i for line in got.lines for i in named(line))
    return Worded([insert(line, facts, marked=True) for line in got.lines], [facts[i] for i in ids], desk.queries, None)


def told(tool: Callable[..., str]) -> Callable[..., str]:
    """Let a tool run alone, say why it has no answer, in words that name no path, and cut what is too long."""

    @wraps(tool)
    def said(desk: "Desk", *args: object, **kwargs: object) -> str:
        try:
            with desk.busy:  # a model may call several at once
                answer = tool(desk, *args, **kwargs)
        except (NotRun, Unanswerable) as error:
            return f"refused: {error}"
        except LakeError as error:
            return f"refused: {str(error).partition(';')[0]}"
        return answer if len(answer) <= CHARACTERS else f"{answer[:CHARACTERS]} ... cut; ask for less"

    return said


@dataclass
class Desk:
    """The tools: what they may read, the facts that they have given, and the queries they ran."""

    lake: Lake
    settings: Settings
    found: Asked
    queries: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at = self.found.question.window.end
        self.busy = threading.Lock()
        self.facts: dict[str, Fact] = {}
        self.sheets: dict[Instrument, Sheet] = {}
        self._know(self.found)

    @told
    def about(self, symbol: str, time: str) -> str:
        """Tell what happened to an instrument in a time.

        Args:
            symbol: like BTC-USDT.
            time: like `last 4 hours`, `yesterday`, `2026-11-20 between 14:00 and 15:00`.
        """
        asked = by_rule.gather(self.lake, f"{symbol} {time}"[:200], self.settings, self.at, first=self._first)
        self._know(asked)
        return prompt.question("", asked.question.window.end, asked.sheets)

    @told
    def bars(self, symbol: str, bar: str, start: str, end: str) -> str:
        """Give bars of an instrument, the first of a time.

        Args:
            symbol: like BTC-USDT.
            bar: 1m, 5m, 15m, 1h, 4h or 1d.
            start: like 2026-11-20T14:00Z.
            end: before this.
        """
        columns = 'ts, "end", open, high, low, close, notional, trades, quality'
        return self._rows(symbol, "bars", columns, start, end, f"bar = {text(bar)}", "bar")

    @told
    def alerts(self, symbol: str, start: str, end: str) -> str:
        """Give alerts of an instrument, the first of a time.

        Args:
            symbol: like BTC-USDT.
            start: like 2026-11-20T14:00Z.
            end: before this.
        """
        return self._rows(symbol, "alerts", "ts, detector, severity, score, threshold", start, end, "origin = 'live'", "alert")

    @told
    def columns(self, table: str) -> str:
        """Tell what a table holds: its columns with unit and meaning.

        Args:
            table: like vpin; an empty name lists the tables.
        """
        known = TABLES.get(table.removesuffix(HISTORY))
        if known is None:
            return "\n".join(f"{name}: {one.doc}" for name, one in TABLES.items())
        return "\n".join([known.doc, *(f"{c.name} {c.type}: {c.doc}" for c in known.columns)])

    @told
    def sql(self, query: str) -> str:
        """Run one SELECT in DuckDB over the lake's tables; times are UTC, the column "end" needs its quotes.

        Args:
            query: with venue and symbol among its columns, an ORDER BY, and as few rows as the answer needs.
        """
        checked(query)
        grounded(query)
        rows = self._run(query)
        if not {"venue", "symbol"} <= set(rows.frame.columns):
            raise NotRun("select venue and symbol, too: each number is of an instrument")
        return self._shown(rows, query, {}, "")

    def _know(self, asked: Asked) -> None:
        """Keep what was found; of an instrument that was spoken of before, beside what is known of it."""
        self.facts |= asked.facts
        for sheet in asked.sheets:
            one = (sheet.venue, sheet.symbol)
            known = self.sheets.get(one)
            told = (*known.changes, *known.state, *known.levels, *known.unknown, *sheet.changes) if known else sheet.changes
            self.sheets[one] = msgspec.structs.replace(sheet, changes=told)

    def _rows(self, symbol: str, table: str, columns: str, start: str, end: str, where: str, label: str) -> str:
        venue, name = self._instrument(symbol)
        since, until = bounds(start, end)
        query = between(table, columns, (venue, name), since or self.at - DAY, until or self.at, where)
        return self._shown(self._run(query), query, {"venue": venue, "symbol": name}, label)

    def _instrument(self, symbol: str) -> tuple[str, str]:
        found = by_rule.named_in(self.lake, symbol[:100], self.settings, self.at)
        if not found:
            raise Unanswerable(f"there is no instrument {symbol[:100]!r}")
        return found[0]

    def _run(self, query: str) -> sandbox.Rows:
        self.queries.append(query)
        return sandbox.run(self.lake, query, LIMITS)

    def _shown(self, rows: sandbox.Rows, query: str, about: dict[str, str], label: str) -> str:
        cells = Cells(self._first, self.at)
        shown = cells.add(rows.frame, query, label=label, **about)
        self.facts |= cells.facts
        more = ["there are more rows"] if rows.is_cut or len(shown) < rows.frame.height else []
        return json.dumps({"rows": shown, "notes": more}, ensure_ascii=False)

    @property
    def _first(self) -> int:
        return 1 + max((int(i[1:]) for i in self.facts), default=0)
