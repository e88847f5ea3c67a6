"""Commands of research: pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapeflow import show
from tapeflow.commands import (
    DemoOption,
    EndOption,
    JsonOption,
    LakeOption,
    Refusal,
    StartOption,
    VenueOption,
    app,
    open_lake,
)

if TYPE_CHECKING:
    import polars as pl

    from pipelines.store.lake import Lake

LISTED = [
    *("y", "x", "points", "dropped", "correlation", "beta", "z", "half_life_hours"),
    *("eg_p", "eg_reverse_p", "p", "p_bonferroni", "p_fdr"),
]
"""Columns of the table on the screen; JSON has all."""
FINE_US = 15 * 60_000_000
SHORT_DAYS = 30


@app.command()
def pairs(
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="SYMBOL...", help="Two: A explained by B. More: every pair of them.")
    ] = None,
    interval: Annotated[str, typer.Option(metavar="BAR", help="Time bars, like 1m or 15m.")] = "15m",
    window: Annotated[int, typer.Option(metavar="W", help="Points of the windows of z, correlation and moving betas.")] = 60,
    lags: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Lags of the unit-root tests. Default: by AIC for each.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every pair of the symbols; with none, of all at the venue.")] = False,
    venue: VenueOption = None,
    start: StartOption = None,
    end: EndOption = None,
    store: Annotated[bool, typer.Option("--store", help="Put the rows into table pairs, too.")] = False,
    lake: LakeOption = None,
    demo: DemoOption = False,
    json: JsonOption = False,
) -> None:
    """Measure pairs of symbols of one venue: hedge ratios, spread and z, correlation, tests of cointegration.

    Two symbols give every measure, with the reason where one does not exist; more give a table of all their pairs, with
    p-values corrected for the number of pairs (Bonferroni; Benjamini and Hochberg). What each means: docs/pairs.md.

    Example: tapeflow pairs BTC-USDT ETH-USDT --interval 1m --window 60
    """
    from pipelines import studies

    opened = open_lake(lake, demo=demo)
    if not symbols and not every:
        raise Refusal("name two symbols or more, or say --all", status=2)
    found = _measured(_bars(opened, symbols or [], interval, venue, start, end), interval, window, lags)
    if store and not studies.keep_pairs(opened, found):
        raise Refusal("nothing to store: no pair has points")
    if json:
        show.as_json(found.columns, found.rows())
    elif found.height == 1:
        show.as_table(["measure", "value", "why there is none"], _one(found.row(0, named=True)))
    else:
        show.as_table(LISTED, found.select(LISTED).rows())
        print(f"{found['tested'][0]} of {found.height} pairs tested")
    if not json:
        _warn(found, interval)


def _bars(
    lake: Lake, symbols: list[str], interval: str, venue: str | None, start: str | None, end: str | None
) -> dict[str, pl.DataFrame]:
    """Return the bars by normalised symbol, in the order of the list."""
    import polars as pl

    from pipelines.market import BAR_WIDTHS_US

    if interval not in BAR_WIDTHS_US:
        raise Refusal(f"--interval {interval}: there are {', '.join(BAR_WIDTHS_US)}", status=2)
    if symbols and len(set(symbols)) < 2:
        raise Refusal("name two symbols or more", status=2)
    wanted = ("venue", "symbol", "end", "close", "volume")
    if symbols:
        frames = [lake.bars(s, interval, venue, start, end).select(wanted).collect() for s in symbols]
        empty = [s for s, frame in zip(symbols, frames, strict=True) if frame.is_empty()]
        if empty:
            raise Refusal(f"no {interval} bars of {', '.join(empty)} in that span; `tapeflow coverage` shows what there is")
        found = pl.concat(frames)
    else:
        found = lake.table("bars", venue=venue, start=start, end=end, bar=interval).select(wanted).sort("symbol").collect()
    venues = found["venue"].unique().sort().to_list()
    if len(venues) > 1:
        raise Refusal(f"the symbols are on {', '.join(venues)}; both legs need one clock: choose with --venue", status=2)
    by_symbol = {str(key[0]): frame for key, frame in found.group_by("symbol", maintain_order=True)}
    if len(by_symbol) < 2:
        raise Refusal(f"{len(by_symbol)} symbols with {interval} bars in that span; a pair needs two")
    return by_symbol


def _measured(bars: dict[str, pl.DataFrame], interval: str, window: int, lags: int | None) -> pl.DataFrame:
    from rich.console import Console
    from rich.status import Status

    from pipelines.research.pairs import pair_table

    venue = str(next(iter(bars.values()))["venue"][0])
    count = len(bars) * (len(bars) - 1) // 2
    with Status("pairs", console=Console(stderr=True)) as status:
        try:
            return pair_table(
                bars, venue, interval, window, lags=lags, told=lambda done: status.update(f"{done:,} of {count:,} pairs")
            )
        except ValueError as error:
            raise Refusal(f"--window {window}: {error}", status=2) from None


def _one(row: dict[str, Any]) -> list[tuple[str, Any, str]]:
    why: dict[str, str] = dict(line.split(": ", 1) for line in row.pop("why"))
    missing = why.get("all", "")
    return [(name, value, "" if value is not None else why.get(name, missing)) for name, value in row.items()]


def _warn(found: pl.DataFrame, interval: str) -> None:
    """Say where the tests of cointegration mean little."""
    import datetime as dt

    from pipelines.market import BAR_WIDTHS_US

    first, last = found["ts"].min(), found["end"].max()
    if isinstance(first, dt.datetime) and isinstance(last, dt.datetime):
        days = (last - first).total_seconds() / 86_400
        if BAR_WIDTHS_US[interval] < FINE_US or days < SHORT_DAYS:
            print(
                f"note: {interval} bars over {days:.3g} days; tests of cointegration want 15m to 1h over 30 days (docs/pairs.md)"
            )
