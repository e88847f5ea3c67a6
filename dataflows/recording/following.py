"""Files edited while the recorder runs: settings and rules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import structlog

from pipelines.settings import SettingsError

LOOK_S: Final = 1.0
_Read = TypeVar("_Read")
log = structlog.get_logger(__name__)


async def follow(path: Path, refused: str, reload: Callable[[], _Read], change: Callable[[_Read], Awaitable[None]]) -> None:
    """Look at a file every second; hand on what it says once it has changed and rests.

    Parameters
    ----------
    path : Path
    refused : str
        What the log says where it cannot be used.
    reload : callable
        Reads it.
    change : callable
        Takes what was read.
    """
    known = last = _stamp(path)
    while True:
        await asyncio.sleep(LOOK_S)
        found, last = last, _stamp(path)
        if last is None or last == known or last != found:  # gone, as it was, or perhaps being written
            continue
        known = last
        try:
            await change(reload())
        except SettingsError as error:
            log.error(refused, faults=error.faults)
        except ValueError as error:
            log.error(refused, faults=[f"{path}: {error}"])


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
