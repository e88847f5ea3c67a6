"""The tapes of several instruments as one, by time: each in its own order, and whatever pieces they come in, the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pipelines.history.csv_file import Lines
from pipelines.kernels.csv_lines import LINE
from pipelines.venues.columns import Ints


class _Head:
    """What has been read of stream `number` and not gone on yet; `eff` is the greatest time so far, which never falls."""

    def __init__(self, number: int, stream: Iterator[Lines]) -> None:
        self.number = number
        self._stream = (lines for lines in stream if lines.size)
        self._greatest = 0
        self.lines: Lines = np.zeros(0, LINE)
        self.eff: Ints = np.zeros(0, np.int64)
        self.ended = False
        self.more()

    def more(self) -> None:
        """Read a piece."""
        piece = next(self._stream, None)
        if piece is None:
            self.ended = True
            return
        eff = np.maximum(np.maximum.accumulate(piece["ts"]), self._greatest)
        self._greatest = int(eff[-1])
        self.lines, self.eff = np.concatenate([self.lines, piece]), np.concatenate([self.eff, eff])

    def take(self, until: int | None) -> tuple[Lines, Ints]:
        """Return what is before a time, all if that is None."""
        cut = self.eff.size if until is None else int(np.searchsorted(self.eff, until))
        taken = self.lines[:cut], self.eff[:cut]
        self.lines, self.eff = self.lines[cut:], self.eff[cut:]
        return taken


def merged(streams: Sequence[Iterator[Lines]]) -> Iterator[tuple[Lines, Ints]]:
    """Yield the lines of all streams by time, and the number of each's stream; of equal times, the first stream's first."""
    if len(streams) == 1:
        for lines in streams[0]:
            if lines.size:
                yield lines, np.zeros(lines.size, np.int64)
        return
    heads = [_Head(k, stream) for k, stream in enumerate(streams)]
    while heads := [head for head in heads if head.lines.size]:
        going_on = [head for head in heads if not head.ended]
        until = min((int(head.eff[-1]) for head in going_on), default=None)
        parts = [head.take(until) for head in heads]
        source = np.repeat([head.number for head in heads], [lines.size for lines, _ in parts])
        if source.size:
            order = np.lexsort((source, np.concatenate([eff for _, eff in parts])))
            yield np.concatenate([lines for lines, _ in parts])[order], source[order]
        for head in going_on:
            if head.eff[-1] == until:
                head.more()
