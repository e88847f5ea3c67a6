"""The commands, one module a group. Each registers itself with `@app.command()`; `tapeflow.cli` imports them all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import datetime as dt

    from pipelines.settings import Settings
    from pipelines.store.lake import Lake

app = typer.Typer(
    help="Live crypto trades to bars, VPIN and anomaly alerts in Parquet: complete or marked, live equals history.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

LakeOption = Annotated[
    str | None, typer.Option("--lake", metavar="DIR", help="The lake: a folder or s3:// URL. Default: that of the settings.")
]
DemoOption = Annotated[bool, typer.Option("--demo", help="Use the demo's settings and data.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SymbolOption = Annotated[str | None, typer.Option(metavar="SYMBOL", help="Like BTC-USDT, or the venue's own name for it.")]
VenueOption = Annotated[str | None, typer.Option(metavar="VENUE", help="Like binance-spot; needed if several have the symbol.")]
StartOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="From this time on, like 2024-07-19 or 2024-07-19T06:30Z; UTC.")
]
EndOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="Before this time. The same date as start and end is that day.")
]


class Refusal(Exception):
    """What was asked for cannot be done; the message says why and what to do instead."""

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def settings(*, demo: bool = False) -> Settings:
    """Return the settings, or the demo's.

    Raises
    ------
    SettingsError
        With every fault there is.
    """
    from pipelines.settings import demo_settings, load

    return demo_settings(load()) if demo else load()


def moment(at: str | None) -> dt.datetime | None:
    """Return the time that `--at` names.

    Raises
    ------
    Refusal
        If it is no time, or none that rows can be of.
    """
    from pipelines.store import LakeError
    from pipelines.store.names import bounds

    try:
        found = bounds(at, None)[0]
    except LakeError:
        raise Refusal(f"--at {at}: no time; use 2026-11-20T12:00Z", status=2) from None
    if found and found.year < 1970:
        raise Refusal(f"--at {at}: no rows are that old", status=2)
    return found


def check_folder(what: str, folder: str, *, write: bool) -> None:
    """Refuse, before any work is done, a folder on this machine that can be none, or cannot be read, or written.

    Raises
    ------
    Refusal
        Which begins with `what`.
    """
    if "://" in folder:
        return
    path = Path(folder).absolute()
    there = next(place for place in (path, *path.parents) if place.exists())
    if not there.is_dir():
        raise Refusal(f"{what} {folder}: {there} is a file; name a folder", status=2)
    if not os.access(there, os.R_OK | os.X_OK | (os.W_OK if write else 0)):
        raise Refusal(f"{what} {folder}: {there} cannot be {'written' if write else 'read'}; name a folder that can", status=2)


def open_lake(lake: str | None, *, demo: bool = False) -> Lake:
    """Open the lake that the options name.

    Raises
    ------
    Refusal
        If there is none, with what makes one.
    """
    from pipelines.store.lake import Lake, LakeError

    root = lake or settings(demo=demo).lake_root
    check_folder("lake", root, write=False)
    opened = Lake(root)
    try:
        opened.require()
    except LakeError as error:
        make = "tapeflow up --demo" if demo else "tapeflow up"
        raise Refusal(f"{error}; `{make}` makes one, --lake DIR names another, --demo reads the demo's") from None
    return opened
