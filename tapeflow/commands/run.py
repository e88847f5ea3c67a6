"""Commands that make rows: run, record, replay, load, rebuild."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapeflow.commands import DemoOption, JsonOption, Refusal, app, check_folder, settings
from tapeflow.logs import configure

if TYPE_CHECKING:
    from pipelines.jobs import Job

SourcesArgument = Annotated[
    list[Path], typer.Argument(metavar="SOURCE...", help="Captures, archives or journal; together one tape.")
]
TapeVenueOption = Annotated[str, typer.Option("--venue", metavar="VENUE", help="Whose frames or trades they are.")]
TapeSymbolOption = Annotated[
    str | None, typer.Option("--symbol", metavar="SYMBOL", help="Take this one alone; needed where the source does not say.")
]
IntoOption = Annotated[str, typer.Option("--lake", metavar="DIR", help="The lake to write to.")]
BucketOption = Annotated[
    str | None,
    typer.Option(metavar="X", help="Adds the VPIN setting vXx50, and stands for ADV = 50 X where none is known; base units."),
]
CompleteOption = Annotated[bool, typer.Option("--complete", help="The source holds every date whole: seal them.")]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Replace what the lake holds of these symbols and dates.")]

_VOLUMES = "write units of base, above 0, like 5 or 0.25; at most 15 digits before the point and 8 behind it"


@app.command()
def run(
    until_end: Annotated[bool, typer.Option("--until-end", help="Stop at the end of the journal.")] = False,
    demo: DemoOption = False,
) -> None:
    """Run the flow: from the journal into the lake, going on from where it stopped.

    Example: tapeflow run --until-end
    """
    from dataflows.live import RecoveryError
    from dataflows.live import run as run_flow

    chosen = settings(demo=demo)
    check_folder("lake", chosen.lake_root, write=True)
    configure(chosen.log_level)
    try:
        raise SystemExit(run_flow(chosen, until_end=until_end))
    except RecoveryError as error:
        raise Refusal(str(error), status=2) from None


@app.command()
def record(demo: DemoOption = False) -> None:
    """Record the venues of the settings into the journal.

    Example: tapeflow record
    """
    from dataflows.recorder import run as run_recorder
    from pipelines.settings import refuse_scaled_clock

    chosen = settings(demo=demo)
    refuse_scaled_clock(chosen)
    configure(chosen.log_level)
    raise SystemExit(run_recorder(chosen, lambda: settings(demo=demo)))


@app.command()
def replay(
    sources: SourcesArgument,
    venue: TapeVenueOption,
    lake: IntoOption,
    symbol: TapeSymbolOption = None,
    speed: Annotated[str, typer.Option(help="max: as fast as it goes.")] = "max",
    bucket_volume: BucketOption = None,
    complete: CompleteOption = False,
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """Send captures, archives or a journal through the live flow into a lake.

    Example: tapeflow replay captures/*.gz --venue binance-usdm --lake data/replayed --bucket-volume 5
    """
    from dataflows.replay import replay as run_replay

    if speed != "max":
        known = "only max is known; the demo exchange plays a recording at a speed (demo.recording)"
        raise Refusal(f"--speed {speed}: {known}", status=2)
    job = _job(sources, venue, symbol, lake, bucket_volume, complete=complete, replace=replace)
    _finish(job, lambda watch: run_replay(job, lambda engine: watch(engine.stored)), json=json)


@app.command()
def load(
    sources: SourcesArgument,
    venue: TapeVenueOption,
    lake: IntoOption,
    symbol: TapeSymbolOption = None,
    bucket_volume: BucketOption = None,
    complete: CompleteOption = False,
    replace: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """Load captures, archives or a journal into a lake by the batch path; the rows are those of `replay`, bit for bit.

    Example: tapeflow load BTCUSDT-aggTrades-2024-07-19.zip --venue binance-usdm --lake data/history
    """
    from pipelines import jobs

    job = _job(sources, venue, symbol, lake, bucket_volume, complete=complete, replace=replace)
    _finish(job, lambda watch: jobs.load(job, lambda _, stored: watch(stored)), json=json)


@app.command()
def rebuild(
    start: Annotated[str, typer.Option("--from", metavar="DATE", help="First UTC date to make again.")],
    demo: DemoOption = False,
) -> None:
    """Make the live rows again from the journal, from a date on, with a fresh recovery store.

    Example: tapeflow rebuild --from 2026-11-20
    """
    from dataflows.live import RecoveryError
    from dataflows.rebuild import rebuild as begin_again

    chosen = settings(demo=demo)
    check_folder("lake", chosen.lake_root, write=True)
    configure(chosen.log_level)
    try:
        begin_again(chosen, start)
    except RecoveryError as error:
        raise Refusal(str(error), status=2) from None


def _job(
    sources: list[Path], venue: str, symbol: str | None, lake: str, bucket_volume: str | None, *, complete: bool, replace: bool
) -> Job:
    from pydantic import ValidationError

    from pipelines.jobs import Job
    from pipelines.rules.book import load as load_rules
    from pipelines.settings import Kernels, digest
    from pipelines.sources import open_source
    from pipelines.store.lake import Lake

    if bucket_volume is not None and not bucket_volume.strip("0."):
        raise Refusal(f"--bucket-volume {bucket_volume}: {_VOLUMES}", status=2)
    chosen = settings()
    check_folder("--lake", lake, write=True)
    try:
        told = {"bucket_volume": bucket_volume} if bucket_volume is not None else {}
        kernels = Kernels.model_validate(chosen.kernels.model_dump() | told)
        source = open_source(sources, venue=venue, symbol=symbol)
    except ValidationError as error:
        fault = error.errors()[0]
        why = _VOLUMES if fault["type"] == "string_pattern_mismatch" else fault["msg"]
        raise Refusal(f"--bucket-volume {bucket_volume}: {why}", status=2) from None
    except ValueError as error:
        raise Refusal(str(error), status=2) from None
    into = Lake(lake, chosen.data / "jobs" / digest(Lake(lake).root.encode()))
    rules = load_rules(chosen.rules)
    return Job(source, kernels, into, complete=complete or source.whole, replace=replace, rules=rules)


def _finish(job: Job, work: Callable[[Callable[[int], None]], None], *, json: bool) -> None:
    """Run a job with a count of what it stored, and say what it wrote; do nothing if it has succeeded before."""
    from rich.console import Console
    from rich.status import Status

    from pipelines.jobs import JobError

    names = ", ".join(p.name for p in job.source.paths)
    if job.done() and not job.replace:
        if json:
            _say(job.name, job.lake.root, {}, json=True)
        else:
            print(f"nothing to do: {names} is in {job.lake.root} already (job {job.name})")
        return
    console = Console(stderr=True)
    try:
        with Status(f"{names}: opening", console=console) as status:
            work(lambda stored: status.update(f"{names}: {stored:,} trades"))
    except JobError as error:
        raise Refusal(str(error)) from None
    _say(job.name, job.lake.root, job.finish(), json=json)


def _say(name: str, root: str, rows: dict[str, int], *, json: bool) -> None:
    if json:
        import msgspec

        out: dict[str, Any] = {"job": name, "lake": root, "rows": rows}
        print(msgspec.json.encode(out).decode())
    else:
        print(f"{root}: " + ", ".join(f"{n:,} {t}" for t, n in rows.items()))
