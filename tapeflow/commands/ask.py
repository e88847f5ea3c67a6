"""The command that answers a question from the lake: every number a fact, with the SQL that gives it again."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapeflow import show
from tapeflow.commands import DemoOption, JsonOption, LakeOption, Refusal, app, moment, open_lake, settings

if TYPE_CHECKING:
    from pipelines.briefs.asked import Asked
    from pipelines.briefs.fact import Fact

AtOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Ask as of this time, like 2026-11-20T12:00Z. Default: now, or the lake's end.")
]


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What is asked, in plain English.")],
    at: AtOption = None,
    lake: LakeOption = None,
    demo: DemoOption = False,
    json: JsonOption = False,
) -> None:
    """Ask what happened, in words: the facts about the instrument and the time that the question names.

    Every number is a fact with an id, and with the SQL that gives its rows again. Nothing is written. A language model
    words the answer where one is set (briefs.model in the settings); it may read the lake and nothing else.

    Example: tapeflow ask "why did VPIN rise on BTC last night?" --demo
    """
    from pipelines.briefs import asked

    opened, chosen = open_lake(lake, demo=demo), settings(demo=demo)
    try:
        found = asked.gather(opened, question, chosen, moment(at) or asked.newest(opened, dt.datetime.now(dt.UTC)))
    except asked.Unanswerable as error:
        raise Refusal(str(error)) from None
    lines, facts = asked.answer(found), asked.behind(found)
    why: str | None = None
    queries: list[str] = []
    if chosen.briefs.model.protocol:
        from assets.asking import ask as by_model
        from tapeflow import logs

        logs.configure("error")  # what went wrong is part of the answer
        worded = by_model(opened, question, found, chosen)
        why = worded.why
        if worded.lines:
            lines, facts, queries = [*asked.left_out(found.question), *worded.lines], worded.facts, worded.queries
    if json:
        show.as_object(_object(question, found, lines, facts, queries, why))
        return
    print("\n".join(lines))
    if why:
        print(f"\nAnswered by rule: {why}")
    for query in queries:
        print(f'\nAsked of the lake: tapeflow sql "{_quoted(query)}"')
    if facts:
        print("\nRun again, and take the column value:")
    for fact in facts:
        print(f'{fact.id} {fact.label} ({fact.measure}): tapeflow sql "{_quoted(fact.query)}"')


def _object(
    question: str, found: Asked, lines: list[str], facts: list[Fact], queries: list[str], why: str | None
) -> dict[str, Any]:
    window = found.question.window
    return {
        "question": question,
        "instruments": [{"venue": venue, "symbol": symbol} for venue, symbol in found.question.instruments],
        "start": window.start,
        "end": window.end,
        "topics": list(found.question.topics),
        "not_in_the_lake": list(found.question.unknown),
        "not_told_of": [{"venue": venue, "symbol": symbol} for venue, symbol in found.question.left_out],
        "answer": lines,
        "why_by_rule": why,
        "queries": queries,
        "facts": [_fact(fact) for fact in ({f.id: f for f in facts} | found.facts).values()],
    }


def _fact(fact: Fact) -> dict[str, Any]:
    from pipelines.briefs.words import shown

    told = {name: getattr(fact, name) for name in ("id", "venue", "symbol", "name", "label", "value", "unit", "span", "n")}
    return {
        **told,
        "shown": shown(fact),
        "as_of": fact.as_of,
        "measure": fact.measure,
        "query": fact.query,
        "sealed": fact.sealed,
    }


def _quoted(query: str) -> str:
    """Return SQL as it stands between the double quotes of a shell."""
    return "".join(f"\\{c}" if c in '"\\$`' else c for c in " ".join(query.split()))
