"""Commands for Slack: send, slack test."""

from __future__ import annotations

import typer

from tapeflow.commands import DemoOption, settings
from tapeflow.commands import app as tapeflow
from tapeflow.logs import configure

app = typer.Typer(no_args_is_help=True, help="Slack: see whether messages get there.\n\nExample: tapeflow slack test")


@tapeflow.command()
def send(demo: DemoOption = False) -> None:
    """Tell Slack of elevated alerts, and send what is in the outbox; `tapeflow up` runs this.

    Example: tapeflow send
    """
    from dataflows.sender.process import run as run_sender

    chosen = settings(demo=demo)
    configure(chosen.log_level)
    raise SystemExit(run_sender(chosen))


@app.command("test")
def trial(demo: DemoOption = False) -> None:
    """Send one message to each channel, say how that went and what waits; exit status 1 where one did not get there.

    Example: tapeflow slack test
    """
    from dataflows.sender.connection import connect, held, tried
    from pipelines.briefs.outbox import Outbox, place

    chosen, lines = settings(demo=demo), []
    for line in tried(connect(chosen, {})):
        print(line.text)
        lines.append(line)
    if place(chosen).exists():
        outbox = Outbox(place(chosen))
        for line in held(outbox):
            print(line.text)
        outbox.close()
    raise typer.Exit(0 if all(line.ok for line in lines) else 1)
