"""A WebSocket that hands messages on as they are parsed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import DATA_OPCODES, TEXT, Frame
from websockets.protocol import Event


class Wire(ClientConnection):
    """Hands each message on at once: at full speed a queue and a coroutine per message cost more than parsing.

    Attributes
    ----------
    frames : int
        Messages received.
    pongs : int
        Answers to our pings.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.frames = 0
        self.pongs = 0
        self._early: list[bytes] = []
        self._fragments: list[bytes] = []
        self._take: Callable[[bytes], None] = self._early.append

    def process_event(self, event: Event) -> None:
        """Take what was parsed; see `ClientConnection`."""
        if event.__class__ is Frame and event.opcode is TEXT and event.fin:
            self.frames += 1
            self._take(bytes(event.data))
        elif not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
        else:
            self._fragments.append(bytes(event.data))
            if event.fin:
                self.frames += 1
                self._take(b"".join(self._fragments))
                self._fragments.clear()

    def begin(self, take: Callable[[bytes], None]) -> None:
        """Hand on what came before anyone was told of this connection, and from now on everything."""
        for message in self._early:
            take(message)
        self._take = take

    def ponged(self, _: object) -> None:
        """Count a pong."""
        self.pongs += 1
