"""Commands to keep it running: up, status."""

from __future__ import annotations

import contextlib
import time

import typer

from tapeflow.commands import DemoOption, JsonOption, app, settings


@app.command()
def up(demo: DemoOption = False) -> None:
    """Run everything: recorder, flow and Dagster, and with --demo an exchange of our own. Ctrl-C stops it all.

    What dies is named and started again; logs are in <data>/logs. Exit status 2 where the settings cannot work.

    Example: tapeflow up --demo
    """
    from tapeflow import up as house

    base = settings()
    raise typer.Exit(house.up(base, demo=demo, tell=_tell))


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):  # whoever read this may have gone; what runs goes on
        print(line, flush=True)


@app.command()
def status(demo: DemoOption = False, json: JsonOption = False) -> None:
    """Show how it goes: processes, feeds, gaps, backlog, seals, disk.

    Exit status 1 where anything is wrong; each fault is a line. What counts as one: docs/status.md.

    Example: tapeflow status --json
    """
    from tapeflow import screen
    from tapeflow.status import gather
    from tapeflow.verdict import faults

    found = gather(settings(demo=demo), time.time())
    if json:
        print(screen.as_json(found))
    else:
        screen.show(found)
    raise typer.Exit(1 if faults(found) else 0)
