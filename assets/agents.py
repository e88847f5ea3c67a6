"""Agents in Dagster: a sensor runs what is due, and shows each as an external asset `agents/<name>`."""

import datetime as dt
import time
from collections.abc import Iterator

import dagster as dg
import msgspec
from dagster import AssetCheckEvaluation, AssetMaterialization

from assets import checks, home
from assets.pictures import fenced
from assets.research import Clock, utc
from pipelines.briefs.agents import running
from pipelines.briefs.agents.registry import AGENTS, Agent
from pipelines.briefs.agents.running import Round, Standing
from pipelines.settings import Settings
from pipelines.store.lake import Lake, LakeError

EVERY_S = 30
ENOUGH_S = 15.0
"""Once a tick has taken so long, the agents that are left wait for the next; those that wait longest come first."""
HEARTBEAT_S = 3600.0
"""An agent that finds nothing is reported this often."""
RUNS = "runs"


class Reported(msgspec.Struct, frozen=True):
    """When an agent was reported last (s since 1970), and whether it was failing then."""

    at: float = 0.0
    failing: bool = False


def key(name: str) -> dg.AssetKey:
    """Return the key of an agent's asset."""
    return dg.AssetKey(["agents", name])


def agent_assets() -> list[dg.AssetSpec]:
    """Return one external asset per agent; its alerts are rows of table `alerts`."""
    return [
        dg.AssetSpec(
            key(agent.name),
            deps=[checks.key(reads.table) for reads in agent.reads],
            group_name="agents",
            description=f"{agent.about}\n\nRuns every {agent.every_s} s in the sensor `agents`; what it finds is a row of table"
            f" `alerts` with source `agent`. `tapeflow agents run {agent.name}{home.option()}` runs it now.",
            kinds={"polars"},
            owners=["team:tapeflow"],
            metadata={"every_s": agent.every_s, "tables": ", ".join(reads.table for reads in agent.reads)},
        )
        for agent in AGENTS.values()
    ]


SPECS = [
    dg.AssetCheckSpec(RUNS, asset=key(name), description="The agent's last run did not fail, and was when it was due.")
    for name in AGENTS
]


def agent_checks(settings: Settings) -> dg.AssetChecksDefinition:
    """Return the checks of the agents, to be run by hand; the sensor reports the same."""

    @dg.multi_asset_check(name="agent_checks", specs=SPECS, can_subset=True)
    def made(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        """Look at how each agent's last run went."""
        for agent in AGENTS.values():
            found = evaluation(agent, running.standing(settings.data, agent.name), agent.interval_s(settings, utc()), time.time())
            if found.asset_check_key in context.selected_asset_check_keys:
                yield checks.result(found)

    return made


def agents_sensor(settings: Settings, clock: Clock = utc) -> dg.SensorDefinition:
    """Return the sensor that runs the agents."""

    @dg.sensor(name="agents", minimum_interval_seconds=EVERY_S, default_status=dg.DefaultSensorStatus.RUNNING)
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Run the agents that are due; report those that found something, failed or recovered, and each once an hour."""
        reported = msgspec.json.decode(context.cursor, type=dict[str, Reported]) if context.cursor else {}
        lake = Lake(settings.lake_root)
        try:
            lake.require()
        except LakeError as error:
            return dg.SkipReason(str(error))
        went = tick(lake, settings, clock())
        events, seen = report(went, reported, clock(), settings)
        context.update_cursor(msgspec.json.encode(reported | seen).decode())
        if not events:
            told = ", ".join(f"{agent.name} {last.took_s:.1f} s" for agent, last in went)
            return dg.SkipReason(f"nothing new; ran {told}" if told else "none is due")
        return dg.SensorResult(asset_events=events)

    return sensor


def tick(lake: Lake, settings: Settings, at: dt.datetime) -> list[tuple[Agent, Standing]]:
    """Run the agents that are due, as many as there is time for; return how each went."""
    began, went = time.monotonic(), []
    its_round = Round(lake, settings, at)
    for agent, before in running.due(settings.data, settings, at):
        if time.monotonic() - began > ENOUGH_S:
            break
        last = running.run(agent, its_round, before, store=lake, data=settings.data)
        running.note(settings.data, last)
        went.append((agent, last))
    return went


def report(
    went: list[tuple[Agent, Standing]], reported: dict[str, Reported], at: dt.datetime, settings: Settings
) -> tuple[list[AssetMaterialization | AssetCheckEvaluation], dict[str, Reported]]:
    """Return what Dagster is to know of runs, and what it knows then."""
    events: list[AssetMaterialization | AssetCheckEvaluation] = []
    seen: dict[str, Reported] = {}
    for agent, last in went:
        before, failing = reported.get(agent.name, Reported()), bool(last.error)
        if last.found or failing != before.failing or last.at - before.at >= HEARTBEAT_S:
            events.append(evaluation(agent, last, agent.interval_s(settings, at), at.timestamp()))
            if not failing:
                events.append(_materialization(agent, last))
            seen[agent.name] = Reported(last.at, failing)
    return events, seen


def evaluation(agent: Agent, last: Standing, interval_s: int, now: float) -> AssetCheckEvaluation:
    """Return whether an agent works."""
    status = last.status(interval_s, now)
    return AssetCheckEvaluation(
        asset_key=key(agent.name),
        check_name=RUNS,
        passed=status in ("ok", "waiting"),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{status}: {last.error}" if last.error else status,
        metadata={"failed_runs_in_a_row": last.failed},
    )


def _materialization(agent: Agent, last: Standing) -> AssetMaterialization:
    return AssetMaterialization(
        key(agent.name),
        description=f"{last.found} found: {last.labels[0]}" if last.found else "nothing found; it runs",
        metadata={
            "found": last.found,
            **({"what": dg.MetadataValue.md(fenced("\n".join(last.labels)))} if last.found else {}),
            "took_s": last.took_s,
            "last_run": dg.MetadataValue.timestamp(last.at),
        },
    )
