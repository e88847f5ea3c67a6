"""What is kept: the journal of raw frames and the lake of Delta tables."""

from __future__ import annotations


class LakeError(ValueError):
    """The lake cannot do what was asked; the message says why and what to do."""
