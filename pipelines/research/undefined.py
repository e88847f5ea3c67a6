"""A measure that these points do not have, and why."""

from __future__ import annotations


class Undefined(ValueError):
    """There is no such measure of these points; the message says why, in words that fit behind the measure's name."""
