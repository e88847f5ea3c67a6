"""Files edited while the recorder runs: settings and rules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Literal, TypeVar

import structlog

from pipelines.settings import SettingsError

LOOK_S: Final = 1.0
_Read = TypeVar("_Read")
What = Literal["settings", "rules"]
log = structlog.get_logger(__name__)


class Refused:
    """Why files are not used as they are, by what they hold."""

    def __init__(self) -> None:
        self.faults: dict[What, list[str]] = {}

    def tell(self, what: What, faults: list[str]) -> None:
        """Take note of a file's faults, and log them."""
        self.faults[what] = faults
        log.error("settings_refused" if what == "settings" else "rules_refused", faults=faults)

    def forget(self, what: What) -> None:
        """Take note that a file has changed, or is gone."""
        self.faults.pop(what, None)


async def follow(
    path: Path, what: What, refused: Refused, reload: Callable[[], _Read], change: Callable[[_Read], Awaitable[None]]
) -> None:
    """Look at a file every second; hand on what it says once it has changed and rests.

    Parameters
    ----------
    path : Path
    what : str
        What it holds.
    refused : Refused
        Is told where it cannot be used.
    reload : callable
        Reads it.
    change : callable
        Takes what was read.
    """
    known = last = _stamp(path)
    while True:
        await asyncio.sleep(LOOK_S)
        found, last = last, _stamp(path)
        if last is None:
            refused.forget(what)
        if last is None or last == known or last != found:  # gone, as it was, or perhaps being written
            continue
        known = last
        refused.forget(what)
        try:
            await change(reload())
        except SettingsError as error:
            refused.tell(what, error.faults)
        except ValueError as error:
            refused.tell(what, [f"{path}: {error}"])


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
