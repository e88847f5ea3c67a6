"""What may be asked of a venue within a time: weight of REST requests, connections."""

from __future__ import annotations


class Budget:
    """A bucket that fills at a constant rate; times are seconds of one monotonic clock.

    It holds half of what is allowed and takes the whole time to fill, so that no time of that length, wherever it begins,
    sees more spent than allowed: a full bucket, and what came in meanwhile. Only what alone is worth more than a bucket
    can go beyond.

    Parameters
    ----------
    most : float
        What may be spent within any `seconds`.
    seconds : float
    now : float

    Attributes
    ----------
    taken : float
        What was spent since it was made.
    """

    def __init__(self, most: float, seconds: float, now: float) -> None:
        self.taken = 0.0
        self._full = most / 2
        self._rate = self._full / seconds
        self._room = self._full
        self._at = now
        self._closed_until = now

    def take(self, weight: float, now: float) -> float:
        """Take `weight` out and return 0, or return how many seconds to wait before asking again."""
        if now < self._closed_until:
            return self._closed_until - now
        self._room = min(self._full, self._room + (now - self._at) * self._rate)
        self._at = now
        if weight <= self._room or self._room == self._full:
            self._room -= weight
            self.taken += weight
            return 0.0
        return (min(weight, self._full) - self._room) / self._rate

    def spent(self, room: float, now: float) -> None:
        """Learn from the venue how much is left at most, whoever spent the rest."""
        self._room = min(self._room, room)
        self._at = max(self._at, now)

    def close(self, seconds: float, now: float) -> None:
        """Let nothing be taken for so long."""
        self._closed_until = max(self._closed_until, now + seconds)
