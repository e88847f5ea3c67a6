"""The command that looks for what is wrong before anything is recorded: doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from tapeflow import show
from tapeflow.commands import DemoOption, JsonOption, app, settings


@app.command()
def doctor(
    demo: DemoOption = False,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long to listen to each route.")] = 10.0,
    json: JsonOption = False,
) -> None:
    """Reach each venue of the settings; check clock, rules, routes, sides of trades, and the disk. Nothing is recorded.

    Exit status 1 where something is at fault.

    Example: tapeflow doctor --seconds 30
    """
    import msgspec
    from rich.console import Console

    from dataflows.doctor import Finding, examine
    from tapeflow import logs

    chosen = settings(demo=demo)
    logs.configure("error")  # what went wrong is among the findings
    with Console(stderr=True).status(f"listening to {', '.join(chosen.venues)} for {seconds:g} s"):
        found = examine(chosen, seconds)
    columns = Finding.__struct_fields__
    rows = [msgspec.structs.astuple(finding) for finding in found]
    (show.as_json if json else show.as_table)(columns, rows)
    raise typer.Exit(1 if any(finding.state == "fault" for finding in found) else 0)
