"""What an HTTP status says of whether, and when, to ask again; of REST answers and of handshakes alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

REFUSED_S: Final = 600.0
"""How long a venue is left alone that does not serve this place or network."""
BAN_S: Final = 60.0
"""How long nothing is asked after a 429 or 418 that does not say."""


class Refusal(NamedTuple):
    """Why nothing is to be asked for a while.

    Attributes
    ----------
    text : str
        Like `HTTP 451: the venue does not serve this place or network`.
    wait_s : float
    lasting : bool
        Waiting alone is not likely to change it.
    """

    text: str
    wait_s: float
    lasting: bool


def read(status: int, headers: Mapping[str, str], too_many: tuple[int, ...]) -> Refusal | None:
    """Return what a status says; None where it does not forbid to ask again.

    Parameters
    ----------
    status : int
    headers : mapping
    too_many : tuple of int
        Statuses that mean too many requests at this venue, as `Rules.too_many`.
    """
    if status in too_many:
        told = headers.get("Retry-After", "")
        wait = float(told) if told.isdecimal() else REFUSED_S if status == 403 else BAN_S
        return Refusal(f"HTTP {status}: too many requests; waiting {wait:.0f} s", wait, lasting=False)
    if status in (403, 451):
        return Refusal(f"HTTP {status}: the venue does not serve this place or network", REFUSED_S, lasting=True)
    return None
