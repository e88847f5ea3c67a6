"""Frames damaged in every way that a seeded generator can think of, and what must hold of a decoder all the same.

A venue's test calls `endure(venue, frames, 20_000)`, with one real or documented frame of each form.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Final

import numpy as np

from pipelines.feeds import Level
from pipelines.tape import TRADE, VOID, Decoded
from pipelines.venues.columns import Tape
from pipelines.venues.venue import Venue

BATCH: Final = 500
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_TEXTS: Final = (
    *(b"1e308", b"-1", b'""', b"null", b"0", b"NaN", b"1e-400", b"9223372036854775808", b"true", b"[]", b"{}", b'"x"'),
    *(b"-0.0", b"1" * 400, b'"1e308"', b'"-5"', b'"0"', b'"NaN"', b'"Infinity"', b'"1.2.3"', b"\xff\xfe", b'"\\ud800"'),
)
_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1e308, 2**63, 2**70, -(2**63), 1.5, "", "0", "-1", "NaN", "Infinity", "1e308", "-0", "0x10"),
    *("1e-400", "1" * 400, "0." + "0" * 30 + "1", "1_000", " 1", "\u0661", "x", "X" * 5000, [], {}, [[]], [None], [["1"]]),
    *([["1", "2", "3"]], [[1, 2]], {"": 0}, "\u5e01\u5b89", "2020-01-01T00:00:00Z"),
)


def mutated(frames: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield `count` frames, most of them damaged once or twice; some are left whole, so that good ones stand between."""
    random = Random(seed)
    trees = [_tree(frame) for frame in frames]
    for _ in range(count):
        k = random.randrange(len(frames))
        frame, tree = frames[k], trees[k]
        if tree is not None and random.random() < 0.6:
            for _ in range(random.choice((1, 1, 2))):
                tree = _changed(tree, random)
            frame = json.dumps(tree, separators=(",", ":")).encode("utf-8", "surrogatepass")
        elif random.random() < 0.9:
            for _ in range(random.choice((1, 1, 2))):
                frame = random.choice(_CUTS)(frame, random)
        if random.random() < 0.02:
            frame += random.choice(frames)
        yield frame


def endure(venue: Venue, frames: Sequence[bytes], count: int, seed: int = 7, tape: Tape | None = None) -> Counter[str]:
    """Hold `count` mutated frames against `check`, a batch at a time; return what became of them."""
    outcome: Counter[str] = Counter()
    source = mutated(frames, count, seed)
    while batch := [frame for _, frame in zip(range(BATCH), source, strict=False)]:
        outcome += check(venue, batch, tape)
    return outcome


def check(venue: Venue, frames: Sequence[bytes], tape: Tape | None = None) -> Counter[str]:
    """Assert that a batch is read without an exception, that no frame is lost, and that what came of it can be used.

    Every frame gives at least a row, a quote, a depth, a liquidation, a funding or a fault, or else counts as ignored.
    """
    tape = tape or venue.rules.tape
    venue.look(frames)
    whole = venue.decode(frames, tape)
    outcome = _outcome(whole, frames)
    _usable(whole)
    singly: Counter[str] = Counter()
    some = frames[:25]
    for frame in some:
        venue.look([frame])
        singly += _outcome(venue.decode([frame], tape), [frame])
    together = _outcome(venue.decode(some, tape), some)
    assert singly == together, f"alone {singly}, in a batch {together}"
    return outcome


def _outcome(decoded: Decoded, frames: Sequence[bytes]) -> Counter[str]:
    where = {
        "rows": decoded.rows["frame"].tolist(),
        "quotes": decoded.quotes["frame"].tolist(),
        "depths": [depth.frame for depth in decoded.depths],
        "liquidations": [liquidation.frame for liquidation in decoded.liquidations],
        "fundings": [funding.frame for funding in decoded.fundings],
        "faults": [fault.frame for fault in decoded.faults],
    }
    told = {frame for each in where.values() for frame in each}
    assert all(0 <= frame < len(frames) for frame in told)
    unsaid = [frames[k][:200] for k in sorted(set(range(len(frames))) - told)]
    assert len(told) + decoded.ignored == len(frames), f"{decoded.ignored} ignored, but unsaid are {unsaid[:20]}"
    return Counter({name: len(each) for name, each in where.items()} | {"ignored": decoded.ignored})


def _usable(decoded: Decoded) -> None:
    rows = decoded.rows
    assert set(np.unique(rows["kind"]).tolist()) <= {TRADE, VOID}
    trades = rows[rows["kind"] == TRADE]
    for name in ("price", "size"):
        assert np.isfinite(trades[name]).all()
        assert (trades[name] > 0).all()
    assert np.isin(trades["side"], (-1, 1)).all()
    assert (rows["trade_id"] >= 0).all()
    assert set(rows[rows["kind"] == VOID]["frame"].tolist()) <= {fault.frame for fault in decoded.faults}
    for each in (rows["instrument"], decoded.quotes["instrument"]):
        assert ((each >= 0) & (each < len(decoded.symbols))).all()
    for name in ("bid", "bid_size", "ask", "ask_size"):
        assert np.isfinite(decoded.quotes[name]).all()
        assert (decoded.quotes[name] >= 0).all()
    assert all(0 < len(symbol) <= 100 for symbol in decoded.symbols)
    assert all(len(fault.reason) < 400 and "\n" not in fault.reason for fault in decoded.faults)
    for depth in decoded.depths:
        assert all(_is_level(level) for level in (*depth.bids, *depth.asks)), depth
    for forced in decoded.liquidations:
        assert forced.side in (-1, 1)
        assert 0 < forced.price < math.inf
        assert 0 < forced.size < math.inf
    for funding in decoded.fundings:
        said = (funding.rate, funding.mark_price, funding.index_price, funding.open_interest)
        assert all(value is None or math.isfinite(value) for value in said)


def _is_level(level: Level) -> bool:
    price, size = level
    return 0 < float(price) < math.inf and 0 <= float(size) < math.inf


def _tree(frame: bytes) -> Any:
    try:
        tree = json.loads(frame)
    except ValueError:
        return None
    return tree if isinstance(tree, dict | list) and tree else None


def _changed(tree: Any, random: Random) -> Any:
    """Return a tree with one node changed, copied only along the way to it."""
    if not isinstance(tree, dict | list) or not tree or random.random() < 0.1:
        return random.choice((random.choice(_VALUES), [tree], {"data": tree}, tree))
    copy: Any = tree.copy()
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key = random.choice(keys)
    deed = random.random()
    if deed < 0.65:
        copy[key] = _changed(tree[key], random)
    elif deed < 0.75:
        del copy[key]
    elif deed < 0.85:
        other = random.choice(keys)
        copy[key], copy[other] = copy[other], copy[key]
    elif deed < 0.95:
        copy[key] = random.choice(_VALUES)
    elif isinstance(copy, list):
        copy.insert(random.randrange(len(copy) + 1), tree[key])
    else:
        copy[random.choice((f"{key}x", f"{key}".upper(), f"{key}".lower()))] = copy.pop(key)
    return copy


def _flip(frame: bytes, random: Random) -> bytes:
    if not frame:
        return b"\x00"
    at = random.randrange(len(frame))
    return frame[:at] + bytes([random.randrange(256)]) + frame[at + 1 :]


def _span(frame: bytes, random: Random) -> tuple[int, int]:
    at = random.randrange(len(frame) + 1)
    return at, min(len(frame), at + random.choice((1, 2, 5, 20, 100)))


def _delete(frame: bytes, random: Random) -> bytes:
    at, end = _span(frame, random)
    return frame[:at] + frame[end:]


def _duplicate(frame: bytes, random: Random) -> bytes:
    at, end = _span(frame, random)
    return frame[:end] + frame[at:]


def _truncate(frame: bytes, random: Random) -> bytes:
    return frame[: random.randrange(len(frame) + 1)]


def _renumber(frame: bytes, random: Random) -> bytes:
    found = list(_NUMBER.finditer(frame[:4000]))
    if not found:
        return frame
    match = random.choice(found)
    return frame[: match.start()] + random.choice(_TEXTS) + frame[match.end() :]


_CUTS: Final[tuple[Callable[[bytes, Random], bytes], ...]] = (_flip, _delete, _duplicate, _truncate, _renumber, _renumber)
