"""The command that tries VPIN and the detectors on falls of the past."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapeflow import show
from tapeflow.commands import DemoOption, JsonOption, LakeOption, Refusal, app, check_folder, open_lake, settings

if TYPE_CHECKING:
    from pipelines.backtests import Backtest
    from pipelines.research.backtest.judge import Asked
    from pipelines.research.backtest.trades import Span, Tape
    from pipelines.store.lake import Lake


@app.command()
def backtest(
    venue: Annotated[str, typer.Option(metavar="VENUE", help="Whose trades.")] = "binance-spot",
    symbols: Annotated[str, typer.Option(metavar="A,B", help="Ours or the venue's own names.")] = "BTC-USDT,FTT-USDT,SOL-USDT",
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="First UTC date asked about.")] = "2022-11-02",
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="Last UTC date; it is included.")] = "2022-11-12",
    control_first: Annotated[
        str | None, typer.Option("--control-from", metavar="DATE", help="First date of the control. Default: 92 days before.")
    ] = None,
    control_last: Annotated[
        str | None, typer.Option("--control-to", metavar="DATE", help="Last date of the control. Default: the day before.")
    ] = None,
    grid: Annotated[
        str, typer.Option(metavar="V/N/STARTS", help="Buckets a day, buckets a window, random starts.")
    ] = "25,50,100/25,50,100/20",
    generated: Annotated[bool, typer.Option("--generated", help="Made-up days of that size, to see that it works.")] = False,
    scale: Annotated[float, typer.Option(metavar="X", min=0.0001, max=10, help="With --generated: share of the size.")] = 1.0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where reports go. Default: backtests in the data.")] = None,
    lake: LakeOption = None,
    demo: DemoOption = False,
    json: JsonOption = False,
) -> None:
    """Try VPIN, plain benchmarks and the detectors as alarms of falls: events first, the whole grid, what VPIN adds.

    The control is what came before: it gives every measure its past, and the calm days on which alarms are false. A
    report with plots is written, and table backtests gets a row a figure. How to read it: docs/backtest.md.

    Example: tapeflow backtest --venue binance-spot --symbols BTC-USDT --from 2022-11-02 --to 2022-11-12
    """
    from pipelines import backtests
    from pipelines.store.lake import Lake

    span, control = _spans(first, last, control_first, control_last)
    chosen = settings(demo=demo)
    names = [name.strip() for name in symbols.split(",") if name.strip()]
    if not names:
        raise Refusal("--symbols: name at least one", status=2)
    check_folder("lake", lake or chosen.lake_root, write=True)
    check_folder("--out" if out else "data", str(out or chosen.data / "backtests"), write=True)
    opened = Lake(lake or chosen.lake_root) if generated else open_lake(lake, demo=demo)
    try:
        asked, tape = _asked(opened, venue, names, span, control, grid, scale if generated else None)
        made = _made(asked, tape)
    except backtests.BacktestError as error:
        raise Refusal(str(error)) from None
    backtests.commit(opened, made)
    path = backtests.save(made, out or chosen.data / "backtests")
    _show(made, path, json=json)


def _spans(first: str, last: str, control_first: str | None, control_last: str | None) -> tuple[Span, Span]:
    from pipelines.research.backtest.trades import Span

    span = Span(_date("--from", first), _date("--to", last))
    before = span.first - dt.timedelta(days=1)
    control = Span(
        _date("--control-from", control_first) if control_first else span.first - dt.timedelta(days=92),
        _date("--control-to", control_last) if control_last else before,
    )
    if span.first > span.last or control.first > control.last:
        raise Refusal("a span ends before it begins", status=2)
    if control.last > before:
        raise Refusal(f"the control ends on {control.last}, which is asked about: it must end before {span.first}", status=2)
    return span, control


def _date(option: str, text: str) -> dt.date:
    try:
        date = dt.date.fromisoformat(text)
    except ValueError:
        raise Refusal(f"{option} {text}: not a date; write it like 2022-11-02", status=2) from None
    if not 1970 < date.year < 2200:
        raise Refusal(f"{option} {text}: no trades are of that year", status=2)
    return date


def _asked(
    lake: Lake, venue: str, names: list[str], span: Span, control: Span, grid: str, scale: float | None
) -> tuple[Asked, Tape]:
    """Return what is asked, and where its trades come from; `scale` is that of made-up ones."""
    from pipelines import backtests
    from pipelines.research.backtest import generated, protocol
    from pipelines.research.backtest.judge import Asked
    from pipelines.research.backtest.trades import Instrument

    try:
        cells = protocol.grid(grid)
    except ValueError as error:
        raise Refusal(f"--grid: {error}", status=2) from None
    if scale is not None:
        made = generated.Generated(span, control, scale=scale, symbols=tuple(names))
        about = tuple(Instrument(generated.VENUE, name) for name in names)
        return Asked(about, span, control, cells), backtests.GeneratedTape(made)
    about = backtests.instruments(lake, venue, names, control.first, span.last)
    return Asked(about, span, control, cells), backtests.LakeTape(lake.root, sorted({*control.dates(), *span.dates()}))


def _made(asked: Asked, tape: Tape) -> Backtest:
    from rich.console import Console

    from pipelines import backtests

    done: list[str] = []
    total = len(asked.instruments)
    with Console(stderr=True).status(f"0 of {total} instruments") as status:

        def told(symbol: str) -> None:
            done.append(symbol)
            status.update(f"{len(done)} of {total} instruments: {', '.join(done)}")

        return backtests.make(asked, tape, told=told)


def _show(made: Backtest, path: Path, *, json: bool) -> None:
    from pipelines.research.backtest import rows

    if json:
        table = rows.rows(made.asked, made.judged, made.generated)
        show.as_json(table.column_names, [tuple(row.values()) for row in table.to_pylist()])
        return
    if made.generated:
        print("GENERATED DAYS: nothing here says anything of a market")
    lines = [(one.instrument.symbol, f"{one.trades:,}", one.dates, len(one.events), len(one.figures)) for one in made.judged]
    show.as_table(("symbol", "trades", "dates", "events", "figures"), lines)
    print(f"run {made.run}, {made.seconds:.0f} s; report: {path}")
