"""The sender as a program: new alerts become messages, and messages go to Slack, until it is told to stop."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec
import structlog

from dataflows.sender.bot import Bot
from dataflows.sender.connection import connect, missing
from dataflows.sender.delivery import Delivery
from dataflows.sender.new_alerts import NewAlerts
from dataflows.sender.webhook import Webhook
from pipelines.briefs.outbox import Outbox, place
from pipelines.briefs.precision import precision
from pipelines.briefs.telling import MUTES, Telling
from pipelines.store.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pipelines.briefs.message import Message
    from pipelines.settings import Settings

POLL_S = 0.25
LOOK_S = 1.0
"""The lake is looked at, and the status written, this often."""
AGAIN_S = 30.0
"""After a failure alerts are read again from where the outbox says, not before so many seconds."""
FORGET_S = 3600.0
ALERTS, TELLING, CHANNELS = "alerts", "telling", "channels"
"""What the outbox remembers, beside mutes: how far alerts were read, what was told, ids of channels."""

log = structlog.get_logger(__name__)


class Teller(Protocol):
    """Turns alerts into messages."""

    def messages(self, alerts: Iterable[dict[str, Any]], now_us: int, mutes: Mapping[str, int]) -> list[Message]:
        """Return what is to be sent for new alerts, and for what has waited."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what must be kept."""
        ...


def now_us() -> int:
    """Return the time, us since 1970."""
    return time.time_ns() // 1000


def run(settings: Settings) -> int:
    """Send until SIGTERM or SIGINT.

    Returns
    -------
    int
        Exit status: 0 stopped, 2 another sender is at work on the same data.
    """
    lock = _locked(place(settings).parent)
    if lock is None:
        sys.stderr.write(f"another sender is at work on {settings.data}; two would send everything twice\n")
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sender = Sender(settings)
    log.info("sending", by=sender.delivery.way, pending=sender.outbox.pending())
    try:
        while not stop.is_set():
            if not sender.step():
                stop.wait(POLL_S)
    finally:
        sender.close()
        lock.close()
    log.info("stopped", pending=sender.waiting)
    return 0


class _Reading(NamedTuple):
    """Where alerts are read, who makes messages of them, and what of both the outbox holds."""

    alerts: NewAlerts
    teller: Teller
    kept: dict[str, Any]


def _locked(folder: Path) -> IO[str] | None:
    """Take the lock that keeps a second sender off an outbox; it is held while the file is open, and ends with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "sender.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


class Sender:
    """One sender: reads alerts, asks what is told of them, delivers, and tells of itself."""

    def __init__(self, settings: Settings, teller: Callable[[dict[str, Any]], Teller] | None = None) -> None:
        self._settings = settings
        self._lake = Lake(settings.lake_root)
        self._make_teller = teller or self._telling
        self.outbox = Outbox(place(settings))
        self.delivery = Delivery(self.outbox, self._connect, now_us)
        self.waiting = 0
        self._reading: _Reading | None = None
        self._fault: str | None = None
        self._next_look = self._next_forget = 0.0

    def close(self) -> None:
        """Tell once more how it stands, and close the outbox."""
        self._tell()
        self.outbox.close()

    def step(self) -> bool:
        """Do what is due; return whether a message was worked on."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_S
            self._look()
            self._tell()
        if time.monotonic() >= self._next_forget:
            self._next_forget = time.monotonic() + FORGET_S
            self.outbox.forget()
        known = dict(self.delivery.client.ids) if isinstance(self.delivery.client, Bot) else {}
        worked = self.delivery.step()
        if isinstance(self.delivery.client, Bot) and self.delivery.client.ids != known:
            self.outbox.commit([], {CHANNELS: self.delivery.client.ids})
        return worked

    def _look(self) -> None:
        """Put what is to be told into the outbox, together with how far it was read."""
        try:
            reading = self._reading = self._reading or self._begin()
            alerts = reading.alerts.read()
            messages = reading.teller.messages(alerts, now_us(), self.outbox.get(MUTES) or {})
            state = {ALERTS: reading.alerts.cursor(), TELLING: reading.teller.state()}
            if messages or state != reading.kept:
                self.outbox.commit(messages, {key: value for key, value in state.items() if value is not None})
                self._reading = reading._replace(kept=state)
            self._fault = None
        except Exception as error:  # what is in the outbox is to be sent whatever happens here
            self._fault = f"alerts cannot be told: {type(error).__name__}: {error}"
            log.exception("not_told")
            self._next_look = time.monotonic() + AGAIN_S
            self._reading = None

    def _begin(self) -> _Reading:
        """Go on from where the outbox says."""
        kept = {key: self.outbox.get(key) for key in (ALERTS, TELLING)}
        return _Reading(NewAlerts(self._lake, kept[ALERTS], now_us()), self._make_teller(kept[TELLING] or {}), kept)

    def _telling(self, state: dict[str, Any]) -> Teller:
        return Telling(self._settings.briefs, state, lambda alert: precision(self._lake, alert))

    def _connect(self) -> Bot | Webhook | None:
        return connect(self._settings, self.outbox.get(CHANNELS) or {})

    def _tell(self) -> None:
        """Write `<data>/status/sender.json`."""
        now = now_us()
        day = dt.datetime.fromtimestamp(now / 1e6, self._settings.briefs.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        counts = self.outbox.counts(round(day.timestamp() * 1e6))
        self.waiting = counts.pending
        status = {
            "pid": os.getpid(),
            "at": now,
            "way": self.delivery.way,
            "pending": counts.pending,
            "oldest_s": (now - counts.oldest_us) / 1e6 if counts.oldest_us else None,
            "sent": counts.sent,
            "given_up": counts.given_up,
            "no_channel": counts.no_channel,
            "missing": missing() if self.delivery.client is None else None,
            "fault": self.delivery.fault,
            "alerts_fault": self._fault,
        }
        _publish(self._settings.data / "status" / "sender.json", status)


def _publish(path: Path, status: dict[str, Any]) -> None:
    draft = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(msgspec.json.encode(status))
        draft.replace(path)
    except OSError as error:  # a full disk must not stop the messages
        log.warning("status_not_written", why=error.strerror)
