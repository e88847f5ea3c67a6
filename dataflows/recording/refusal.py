"""What an HTTP answer says of whether, and when, to ask again; of REST answers and of handshakes alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

REFUSED_S: Final = 600.0
"""How long a venue is left alone that does not serve this place or network, or answers too many requests with 403."""
BAN_S: Final = 60.0
"""How long nothing is asked after too many requests, where the venue does not say."""
LONGEST_S: Final = 3 * 86_400.0
"""The longest ban that is kept."""
_PLACE: Final = re.compile(rb"your country|your region|restricted location|unavailable in", re.IGNORECASE)
_OFTEN: Final = re.compile(rb"too frequent|too many|rate.?limit", re.IGNORECASE)


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

    @property
    def long(self) -> bool:
        """Whether it lasts too long to be waited for in the middle of a request."""
        return self.lasting or self.wait_s >= REFUSED_S


def read(status: int, headers: Mapping[str, str], body: bytes, too_many: tuple[int, ...]) -> Refusal | None:
    """Return what an answer says; None where it does not forbid to ask again.

    Parameters
    ----------
    status : int
    headers : mapping
    body : bytes
        Where a venue answers both too many requests and the wrong place with 403, this alone tells them apart.
    too_many : tuple of int
        Statuses that mean too many requests at this venue, as `Rules.too_many`.
    """
    if status == 451 or (status == 403 and (status not in too_many or _PLACE.search(body))):
        return Refusal(f"HTTP {status}: the venue does not serve this place or network", REFUSED_S, lasting=True)
    if status not in too_many:
        return None
    unsure = status == 403 and not _OFTEN.search(body)
    what = "too many requests" + (", or the venue does not serve this place or network" if unsure else "")
    return busy(f"HTTP {status}: {what}", headers, REFUSED_S if status == 403 else 0.0)


def busy(text: str, headers: Mapping[str, str], at_least: float = 0.0) -> Refusal:
    """Return what an answer says that has not failed for good."""
    told = headers.get("Retry-After", "")
    wait = max(at_least, min(float(told), LONGEST_S) if told.isdecimal() else BAN_S)
    return Refusal(f"{text}; waiting {wait:.0f} s", wait, lasting=False)
