"""Commands of the demo: its exchange, and a fresh start."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from tapeflow.commands import Refusal, app, settings

LOCKS = ("status/up.lock", "journal/*/lock", "recovery/*/lock")
"""Held by `tapeflow up`, by recorders and by flows while they run, in their data folder."""


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


@app.command()
def reset(demo: Annotated[bool, typer.Option("--demo", help="Say that the demo's data is meant.")] = False) -> None:
    """Delete what the demo has recorded and worked out; the next `tapeflow up --demo` begins anew.

    Example: tapeflow reset --demo
    """
    if not demo:
        raise Refusal("only the demo's data is deleted by a command: `tapeflow reset --demo`", status=2)
    data = settings(demo=True).data
    if not data.exists():
        print(f"nothing to delete: there is no {data}")
        return
    with ExitStack() as held:
        for lock in (lock for pattern in LOCKS for lock in data.glob(pattern)):
            _hold(lock, held)
        shutil.rmtree(data)
    print(f"deleted {data}")


def _hold(lock: Path, held: ExitStack) -> None:
    """Take a lock, so that nothing starts on what is being deleted."""
    try:
        fcntl.flock(held.enter_context(lock.open()), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refusal(f"the demo runs ({lock} is held); stop it first: Ctrl-C where `tapeflow up --demo` runs") from None
