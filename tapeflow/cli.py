"""The command line: gathers the commands and says what went wrong in plain words."""

from __future__ import annotations

import sys

from pipelines.settings import SettingsError
from pipelines.store import LakeError
from tapeflow import journal_command
from tapeflow.commands import (
    Refusal,
    agents,
    app,
    ask,
    backtest,
    demo,
    doctor,
    fact,
    history,
    lake,
    learn,
    mute,
    operate,
    research,
    retain,
    rules,
    run,
    score,
    slack,
    start,
)

__all__ = [
    "agents",
    "ask",
    "backtest",
    "demo",
    "doctor",
    "fact",
    "history",
    "lake",
    "learn",
    "main",
    "mute",
    "operate",
    "research",
    "retain",
    "rules",
    "run",
    "score",
    "slack",
    "start",
]

app.add_typer(journal_command.app, name="journal")
app.add_typer(rules.app, name="rules")
app.add_typer(slack.app, name="slack")
app.add_typer(agents.app, name="agents")


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit status: 2 where the command line or the settings are wrong."""
    try:
        app(argv, prog_name="tapeflow")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except SettingsError as error:
        return _say(error.faults, 2)
    except Refusal as error:
        return _say([str(error)], error.status)
    except LakeError as error:
        return _say([str(error)], 1)
    except OSError as error:
        return _say([f"{error.filename}: {error.strerror}" if error.filename else str(error)], 1)
    return 0


def _say(faults: list[str], status: int) -> int:
    for fault in faults:
        print(f"tapeflow: {fault}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
