"""A price path that is a function of time: fractal noise, with the spectrum of a random walk but no memory of a start."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.uint64]

SCALES_S: Floats = 4.0 ** np.arange(12.0)
"""Width of each octave's lattice in seconds: 1 s to 48 days. The longest bounds how far a price can stray."""

_OCTAVES = np.arange(len(SCALES_S), dtype=np.uint64)[:, None] << np.uint64(48)
_WEIGHTS = np.sqrt(SCALES_S)[:, None] / 1.44  # makes the change over t seconds near sqrt(t), at any t from 1 s to days


def _uniform(keys: Keys) -> Floats:
    """Hash keys to numbers of mean 0 and variance 1 (splitmix64's finaliser, uniform)."""
    x = keys * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    uniform: Floats = ((x >> np.uint64(11)).astype(np.float64) / 2.0**53 - 0.5) * np.sqrt(12.0)
    return uniform


def wander(key: int, seconds: Floats) -> Floats:
    """Return a path at the given times whose change over t seconds has a standard deviation near sqrt(t), up to days.

    Each octave is noise on a lattice, joined by straight lines; `key` names the path.
    """
    x = seconds / SCALES_S[:, None]
    node = np.floor(x)
    keys = node.astype(np.int64).astype(np.uint64) + _OCTAVES + np.uint64(key)
    left, right = _uniform(keys), _uniform(keys + np.uint64(1))
    path: Floats = ((left + (right - left) * (x - node)) * _WEIGHTS).sum(axis=0)
    return path
