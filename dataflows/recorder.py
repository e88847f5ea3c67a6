"""The recorder as a program: from the venues' sockets into the journal, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

import structlog
from prometheus_client import start_http_server

from dataflows.recording.metrics import Figures, registry
from dataflows.recording.recorder import Recorder
from pipelines.settings import Settings, SettingsError, load
from pipelines.store.segment import JournalError

log = structlog.get_logger(__name__)


def run(settings: Settings, reload: Callable[[], Settings] = load) -> int:
    """Record until SIGTERM or SIGINT.

    Parameters
    ----------
    settings : Settings
    reload : callable
        Reads the settings again when their file has changed.

    Returns
    -------
    int
        Exit status: 0 stopped, 1 failed as the log tells, 2 nothing could be recorded; stderr says why.
    """
    try:
        return asyncio.run(_main(settings, reload))
    except SettingsError as error:
        faults = error.faults
    except JournalError as error:
        faults = [str(error)]
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return 2


async def _main(settings: Settings, reload: Callable[[], Settings]) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        recorder = Recorder(settings)
    except OSError as error:
        raise SettingsError([f"{settings.journal_dir}: no journal can be kept there: {error.strerror}; set `data`"]) from error
    try:
        server, _ = start_http_server(
            settings.ports.metrics + 1, "127.0.0.1", registry(Figures(recorder.intake, recorder.stations, recorder.news))
        )
    except OSError as error:
        await recorder.intake.close()
        port = settings.ports.metrics
        raise SettingsError([f"ports.metrics: {port} + 1 cannot be served: {error.strerror}; set another"]) from error
    log.info("recording", journal=str(settings.journal_dir), venues=list(settings.venues))
    try:
        await recorder.run(stop, reload)
    except ExceptionGroup:
        log.exception("recorder_failed")
        return 1
    finally:
        server.shutdown()
    log.info("stopped", segment=recorder.writer.segment)
    return 0
