"""Settings edited while the recorder runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import structlog

from pipelines.settings import CONFIG, Settings, SettingsError

SETTINGS_S: Final = 1.0
log = structlog.get_logger(__name__)


async def follow(reload: Callable[[], Settings], change: Callable[[Settings], Awaitable[None]]) -> None:
    """Look at the file of settings every second; hand on what it says once it has changed and rests."""
    path = Path(os.environ.get("TAPEFLOW_CONFIG", CONFIG))
    known = last = _stamp(path)
    while True:
        await asyncio.sleep(SETTINGS_S)
        found, last = last, _stamp(path)
        if last is None or last == known or last != found:  # gone, as it was, or perhaps being written
            continue
        known = last
        try:
            await change(reload())
        except SettingsError as error:
            log.error("settings_refused", faults=error.faults)
        except ValueError as error:
            log.error("settings_refused", faults=[f"{path}: {error}"])


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
