"""Ports for servers of a test, which nothing else takes between the asking and the listening.

A port that the system hands out is one that it hands to the next connection, too. These lie below those of connections
(32,768 and up on Linux), in a block that one process of tests holds as long as it lives.
"""

from __future__ import annotations

import socket
from functools import cache
from itertools import cycle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCKS = range(12_000, 32_000, 500)


def free_ports(n: int) -> list[int]:
    """Return free ports, each with the one above it, where a recorder serves its metrics."""
    _, ports = _block()
    found: list[int] = []
    while len(found) < n:
        port = next(ports)
        if _is_free(port) and _is_free(port + 1):
            found.append(port)
    return found


@cache
def _block() -> tuple[socket.socket, Iterator[int]]:
    """Claim a block by its first port, bound for good; give the others, round and round."""
    for first in BLOCKS:
        claim = socket.socket()
        try:
            claim.bind(("", first))
        except OSError:
            claim.close()
            continue
        return claim, cycle(range(first + 2, first + BLOCKS.step, 2))
    raise OSError(f"no block of ports from {BLOCKS.start} to {BLOCKS.stop} is free; stop what listens there")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
