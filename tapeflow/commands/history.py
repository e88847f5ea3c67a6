"""Commands that finish days: backfill, seal."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapeflow import show
from tapeflow.commands import DemoOption, JsonOption, LakeOption, Refusal, app, check_folder, open_lake, settings

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from assets.finishing import Ask, Outcome
    from pipelines.history.day import Day

ROUNDS = 3
"""Sealing a day may make later ones stale; these are sealed in another round."""

TakenOption = Annotated[str, typer.Option("--venue", metavar="VENUE", help="Like binance-usdm.")]
SymbolsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--symbols", metavar="A,B", help="Ours or the venue's own names. Default: those recorded that day, else the settings'."
    ),
]
FromOption = Annotated[str | None, typer.Option("--from", metavar="DATE", help="First UTC date.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="DATE", help="Last UTC date; it is included.")]
DatesOption = Annotated[str | None, typer.Option("--dates", metavar="DATE,DATE", help="Just these, in place of --from and --to.")]
ArchiveOption = Annotated[
    bool, typer.Option("--archive", help="Take days whole from the archive, even where they were recorded.")
]
RepairOption = Annotated[
    bool, typer.Option("--repair", help="Add to recorded days what the archive has and they lack; close the holes of the ledger.")
]
AgainOption = Annotated[
    bool, typer.Option("--force", help="Also days that are complete (was a file issued anew?), or not over for the flow.")
]


@app.command()
def backfill(
    venue: TakenOption,
    symbols: SymbolsOption = None,
    first: FromOption = None,
    last: ToOption = None,
    dates: DatesOption = None,
    archive: ArchiveOption = False,
    repair: RepairOption = False,
    force: AgainOption = False,
    lake: LakeOption = None,
    demo: DemoOption = False,
    json: JsonOption = False,
) -> None:
    """Finish days of a venue: what was recorded is sealed, what was not comes from the venue's archive.

    Days are done in order; one that fails stops no other. Run again, complete days are passed over. What it does and
    what a finished day is: docs/history.md.

    Example: tapeflow backfill --venue binance-usdm --symbols BTC-USDT-PERP --from 2026-11-01 --to 2026-11-10
    """
    from assets import finishing
    from pipelines.history.day import Day

    chosen = settings(demo=demo)
    names = tuple(name.strip() for text in symbols or () for name in text.split(",") if name.strip())
    if symbols and not names:
        raise Refusal("--symbols names none; leave it out to take those that were recorded, else those of the settings", status=2)
    check_folder("lake", lake or chosen.lake_root, write=True)
    _check(lake or chosen.lake_root, venue, names)
    days = [Day(date, venue) for date in _dates(first, last, dates)]
    ask, at = finishing.Ask(names, archive=archive, repair=repair, force=force), finishing.house(chosen, lake)
    _end(_done(days, partial(finishing.finish_all, at, days, ask), json=json), ask, _where(lake, demo=demo), json=json)


@app.command()
def seal(
    venue: Annotated[str | None, typer.Option("--venue", metavar="VENUE", help="Of this venue alone.")] = None,
    date: Annotated[str | None, typer.Option("--date", metavar="DATE", help="This UTC date alone.")] = None,
    force: AgainOption = False,
    lake: LakeOption = None,
    demo: DemoOption = False,
    json: JsonOption = False,
) -> None:
    """Seal the recorded days that are over, and those whose seals no longer hold: final rows, every difference explained.

    Example: tapeflow seal --venue binance-usdm --date 2026-11-20
    """
    from assets import finishing

    opened = open_lake(lake, demo=demo)
    check_folder("lake", opened.root, write=True)
    if venue is not None:
        _check(opened.root, venue, ())
    at = finishing.house(settings(demo=demo), opened.root)
    only = _date(date, "--date") if date else None
    ask = finishing.Ask(force=force)
    found: dict[Day, Outcome] = {}
    for _ in range(ROUNDS):
        due = [day for day, _ in finishing.due(at.lake, [venue] if venue else None, force=force) if only in (None, day.date)]
        days = [day for day in due if day not in found or found[day].status == "sealed"]
        if not days:
            break
        outcomes = _done(days, partial(finishing.finish_all, at, days, ask), json=json)
        found |= {outcome.day: outcome for outcome in outcomes}
    waiting = [str(day) for day in finishing.waiting(at.lake, [venue] if venue else None) if only in (None, day.date)]
    if waiting and not force:
        print(f"not over for the flow, so not sealed (--force does): {', '.join(waiting)}", file=sys.stderr)
    _end([found[day] for day in sorted(found)], ask, _where(lake, demo=demo), json=json)


def _check(root: str, venue: str, symbols: Sequence[str]) -> None:
    """Refuse what no day could be finished with."""
    from assets.finishing import normalised
    from pipelines.store.lake import Lake, LakeError
    from pipelines.venues import venue as venue_named

    lake = Lake(root)
    try:
        lake.require()
        known: Lake | None = lake
    except LakeError:
        known = None
    try:
        venue_named(venue)
        for symbol in symbols:
            normalised(known, venue, symbol)
    except ValueError as error:
        raise Refusal(str(error), status=2) from None


def _dates(first: str | None, last: str | None, dates: str | None) -> list[dt.date]:
    import datetime as dt

    if dates and not (first or last):
        return [_date(text, "--dates") for text in dates.split(",")]
    if dates or not (first and last):
        raise Refusal("give --from and --to, or --dates", status=2)
    begin, end = _date(first, "--from"), _date(last, "--to")
    if begin > end:
        raise Refusal(f"--from {begin} is after --to {end}", status=2)
    return [begin + dt.timedelta(days=n) for n in range((end - begin).days + 1)]


def _date(text: str, option: str) -> dt.date:
    """Return a UTC date that is over."""
    import datetime as dt

    try:
        date = dt.date.fromisoformat(text.strip())
    except ValueError:
        raise Refusal(f"{option} {text}: no date; write it like 2026-11-20", status=2) from None
    if date > dt.datetime.now(dt.UTC).date():
        raise Refusal(f"{option} {text}: that day has not begun yet", status=2)
    return date


def _done(days: Sequence[Day], work: Callable[[Any], Iterator[Outcome]], *, json: bool) -> list[Outcome]:
    """Run to the end with a bar on the terminal, and a line a day where there is no JSON."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    outcomes = []
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, TextColumn("{task.description}"), console=console, transient=True) as bar:
        task = bar.add_task("", total=len(set(days)))
        for outcome in work(lambda day, told: bar.update(task, description=f"{day}: {told}")):
            outcomes.append(outcome)
            bar.advance(task)
            if not json:
                bar.console.print(_line(outcome), markup=False, soft_wrap=True)
    return outcomes


def _line(outcome: Outcome) -> str:
    if outcome.status == "failed":
        return f"{outcome.day}  failed: {outcome.error}"
    trades = sum(total.trades for one in outcome.sealed for total in one.symbols.values())
    seconds = sum(sum(one.seconds.values()) for one in outcome.sealed)
    return f"{outcome.day}  " + (f"sealed, {trades:,} trades in {seconds:.1f} s" if outcome.sealed else "complete before")


def _where(lake: str | None, *, demo: bool) -> str:
    """Return the options that name the lake."""
    import shlex

    return (f" --lake {shlex.quote(lake)}" if lake else "") + (" --demo" if demo else "")


def _end(outcomes: Sequence[Outcome], ask: Ask, where: str, *, json: bool) -> None:
    """Say what became of the days, and how to try again those that failed; exit status 1 if there are any."""
    from assets.finishing import retry

    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if json:
        rows = list(_rows(outcomes))
        show.as_json(list(rows[0]) if rows else [], [list(row.values()) for row in rows])
    else:
        counts = {status: sum(o.status == status for o in outcomes) for status in ("sealed", "complete", "failed")}
        print(", ".join(f"{count} {status}" for status, count in counts.items() if count) or "nothing is due")
    if failed:
        print("to try just these again:", *(command + where for command in retry(failed, ask)), sep="\n  ", file=sys.stderr)
        raise SystemExit(1)


def _rows(outcomes: Iterable[Outcome]) -> Iterator[dict[str, Any]]:
    for outcome in outcomes:
        tables: dict[str, int] = {}
        for one in outcome.sealed:
            for name, written in one.tables.items():
                tables[name] = tables.get(name, 0) + written.rows
        yield {
            "venue": outcome.day.venue,
            "date": outcome.day.date,
            "status": outcome.status,
            "rows": tables,
            "differences": [one.differences for one in outcome.sealed],
            "seconds": round(sum(sum(one.seconds.values()) for one in outcome.sealed), 3),
            "error": outcome.error or None,
        }
