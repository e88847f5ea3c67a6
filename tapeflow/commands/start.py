"""Commands to begin with: init, venues, version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import tapeflow
from tapeflow import show
from tapeflow.commands import JsonOption, Refusal, app, settings


@app.command()
def init(force: Annotated[bool, typer.Option("--force", help="Overwrite a settings file that is there.")] = False) -> None:
    """Write tapeflow.yaml, every default commented.

    Example: tapeflow init
    """
    from pipelines.settings import config_file
    from tapeflow.template import template

    path = Path(config_file())
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(template())
    except FileExistsError:
        raise Refusal(f"{path} is there already; --force writes it anew and loses what is in it") from None
    print(f"wrote {path}: every line is a default; name your symbols under venues, then run `tapeflow up`")


@app.command()
def venues(json: JsonOption = False) -> None:
    """List the venues, what can be recorded there, and the symbols that are.

    A feed is `unverified` until a real frame of it has been decoded in our tests; it is recorded only where `feeds` names it.

    Example: tapeflow venues --json
    """
    from pipelines.feeds import FEEDS
    from pipelines.venues import VENUES

    chosen = settings()
    columns = ["venue", "feeds", "unverified", "tape", "rest", "weight_per_minute", "recorded", "symbols"]
    rows = [
        (
            name,
            [feed for feed in FEEDS if feed in venue.rules.feeds],
            [feed for feed in FEEDS if feed in venue.rules.feeds - venue.rules.verified],
            venue.rules.tape,
            chosen.endpoints.get(name, venue.rules.rest),
            round(venue.rules.weight_window[0] * 60 / venue.rules.weight_window[1]),
            list(chosen.venues[name].feeds_of(venue.rules.verified)) if name in chosen.venues else [],
            list(chosen.venues[name].symbols) if name in chosen.venues else [],
        )
        for name, venue in VENUES.items()
    ]
    (show.as_json if json else show.as_table)(columns, rows)


@app.command()
def version() -> None:
    """Print the version.

    Example: tapeflow version
    """
    print(tapeflow.__version__)
