"""`tapeflow agents`: how the watchers go, and one run now."""

from __future__ import annotations

import datetime as dt
import difflib
import time
from typing import TYPE_CHECKING, Annotated

import typer

from tapeflow import show
from tapeflow.commands import DemoOption, JsonOption, LakeOption, Refusal, moment, open_lake, settings

if TYPE_CHECKING:
    from pipelines.briefs.agents.finding import Finding
    from pipelines.briefs.agents.registry import Agent
    from pipelines.briefs.agents.running import Standing
    from pipelines.settings import Settings
    from pipelines.store.lake import Lake

app = typer.Typer()
ANALYST = "analyst"
"""The one that writes briefs, at the times in the settings; `run` prints one instead of findings."""
COLUMNS = ["name", "every_s", "last_run", "took_s", "status", "found", "last_found", "next_run", "error"]
FOUND = ["end", "venue", "symbol", "severity", "score", "threshold", "label", "alert_id"]


@app.callback(invoke_without_command=True)
def standings(context: typer.Context, demo: DemoOption = False, json: JsonOption = False) -> None:
    """Watchers on a schedule: interval, last run, status (ok, failing, late, or waiting for its first), what it found, next run.

    `tapeflow up` runs them, in Dagster's sensor `agents`. Exit status 1 where one fails or is late.

    Example: tapeflow agents --json
    """
    if context.invoked_subcommand:
        return
    from pipelines.briefs.agents import running
    from pipelines.briefs.agents.registry import AGENTS

    chosen, now = settings(demo=demo), time.time()
    rows = [_row(chosen, agent, now) for agent in AGENTS.values()]
    last = running.standing(chosen.data, ANALYST)
    status = "failing" if last.error else "ok" if last.at else "waiting"
    rows.append((ANALYST, None, *_ran(last), status, last.found, _since(last.found_at), None, last.error))
    (show.as_json if json else show.as_table)(COLUMNS, rows)
    raise typer.Exit(1 if any(row[4] in ("failing", "late") for row in rows) else 0)


def _row(chosen: Settings, agent: Agent, now: float) -> tuple[object, ...]:
    from pipelines.briefs.agents import running

    last, every = running.standing(chosen.data, agent.name), agent.interval_s(chosen, _time(now))
    status = last.status(every, now)
    coming = _time(last.at + every) if last.at else None
    return (agent.name, every, *_ran(last), status, last.found, _since(last.found_at), coming, last.error)


def _ran(last: Standing) -> tuple[object, object]:
    return (_time(last.at), last.took_s) if last.at else (None, None)


def _since(at: float) -> dt.datetime | None:
    return _time(at) if at else None


def _time(s: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(s), dt.UTC)


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `tapeflow agents` lists it.")],
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Look at this time, like 2024-07-19T06:30Z. Default: now.")
    ] = None,
    store: Annotated[bool, typer.Option("--store", help="Put what is new into table alerts.")] = False,
    lake: LakeOption = None,
    demo: DemoOption = False,
    json: JsonOption = False,
) -> None:
    """Run one agent now and print what it finds of the UTC date so far: rows complete by then are looked at, none later.

    Nothing is written without --store. The analyst prints the brief that it would write.

    Example: tapeflow agents run vpin_regime --at 2024-07-19T06:30Z
    """
    from pipelines.briefs.agents import running
    from pipelines.briefs.agents.reading import midnight
    from pipelines.briefs.agents.registry import AGENTS

    known = [*AGENTS, ANALYST]
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise Refusal(f"no agent {name!r}; {hint}", status=2)
    opened, chosen = open_lake(lake, demo=demo), settings(demo=demo)
    time_at = moment(at) or dt.datetime.now(dt.UTC)
    if name == ANALYST:
        if store:
            raise Refusal("a brief is kept by a run of Dagster: job brief_hourly, brief_daily or brief_elevated", status=2)
        _brief(opened, chosen, time_at, json=json)
        return
    found = running.Round(opened, chosen, time_at).findings(AGENTS[name], midnight(time_at))
    new = len(running.keep(opened, found, chosen.data)) if store else 0
    rows = [_shown(one) for one in found]
    if json:
        show.as_json(FOUND, rows)
        return
    if rows:
        show.as_table(FOUND, rows)
    stored = f", {new} new ones stored" if store else ""
    print(f"{name}: {len(rows)} found on {midnight(time_at):%F} up to {time_at:%H:%M:%S} UTC{stored}")


def _brief(lake: Lake, chosen: Settings, at: dt.datetime, *, json: bool) -> None:
    """Print the hourly brief of a time, as the template or the model would write it."""
    from assets import analyst
    from tapeflow import logs

    logs.configure("error")  # why the template wrote is part of the brief
    brief, _ = analyst.compose(lake, chosen, "hourly", at)
    if json:
        show.as_object({"head": brief.head, "thread": brief.thread, "facts": len(brief.facts), "writer": brief.writer})
    else:
        print(f"{brief.head}\n\n{brief.thread}")


def _shown(one: Finding) -> tuple[object, ...]:
    return (one.end, one.venue, one.symbol, one.severity, one.score, one.threshold, one.label, one.id)
