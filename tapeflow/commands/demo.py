"""Commands of the demo: its exchange."""

from __future__ import annotations

from typing import Annotated

import typer

from tapeflow.commands import app, settings


@app.command()
def demo_exchange(
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND@SECONDS[:PARAM]", help="A fault that long after the start, like cut@30:10; may be repeated."),
    ] = None,
) -> None:
    """Serve the demo exchange: a market of our own that speaks Binance's protocol, on this machine alone.

    Example: tapeflow demo-exchange --fault cut@30:10
    """
    from dataflows.demo.server import run

    chosen = settings()
    demo = chosen.demo
    raise typer.Exit(
        run(
            port=chosen.ports.demo,
            seed=demo.seed,
            symbols=demo.symbols,
            rate=demo.rate,
            recording=demo.recording,
            speed=demo.speed,
            faults=fault or (),
        )
    )
