"""What brings a fault about, and what ends it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from tests.faults.house import House, wait_for

Do = Callable[[House], None]


def exchange(*kinds: str) -> Do:
    """Have the exchange do wrong; `kind:value` each."""

    def do(house: House) -> None:
        for text in kinds:
            kind, _, value = text.partition(":")
            house.fault(kind, float(value) if value else None)

    return do


def send(number: signal.Signals, *names: str) -> Do:
    """Send a signal to processes."""

    def do(house: House) -> None:
        for name in names:
            house.processes[name].send_signal(number)

    return do


def begin_anew(*names: str) -> Do:
    """Let the exchange in again, stop processes and start them."""

    def do(house: House) -> None:
        house.fault("forbid", 0.001)
        for name in names:
            house.stop(name)
            house.start(name)

    return do


def after(seconds: float, do: Do) -> Do:
    """Do something once so many seconds have passed."""

    def later(house: House) -> None:
        moment = time.monotonic() + seconds
        wait_for(lambda: time.monotonic() >= moment, "the moment to go on", seconds + 5)
        do(house)

    return later


def fill(share: float) -> Do:
    """Leave that share of the journal's volume free."""

    def do(house: House) -> None:
        filler = house.data / "journal" / "filler"
        filler.unlink(missing_ok=True)
        volume = os.statvfs(filler.parent)
        size = (volume.f_bavail - int(share * volume.f_blocks)) * volume.f_frsize
        with filler.open("wb", buffering=0) as file, suppress(OSError):  # the last bytes may go to the recorder
            while size > 0:
                size -= file.write(bytes(min(size, 4096)))

    return do


def kill(name: str) -> Do:
    """Kill -9 a child of `tapeflow up`, which waits longer each time before it starts it again."""

    def do(house: House) -> None:
        found: list[int] = []

        def runs() -> bool:
            found[:] = [p["pid"] for p in house.told()["processes"] if (p["name"], p["state"]) == (name, "running")]
            return bool(found)

        wait_for(runs, f"{name} runs")
        os.kill(found[0], signal.SIGKILL)

    return do
