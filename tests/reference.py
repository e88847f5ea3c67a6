"""The measures once more, slow and plain, in exact fractions: what the kernels are held against."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction
from typing import Any

from pipelines import tape
from pipelines.market import DAY_US

Trade = dict[str, Any]


def trades(rows: tape.Rows) -> dict[int, list[Trade]]:
    """Return trades by instrument, price and size as exact fractions of their decimal text, time never falling."""
    out: dict[int, list[Trade]] = defaultdict(list)
    now: dict[int, int] = defaultdict(int)
    for row in rows:
        i = int(row["instrument"])
        if now[i] and row["ts"] // DAY_US < now[i] // DAY_US:
            continue
        now[i] = max(now[i], int(row["ts"]))
        out[i].append(
            {
                "id": int(row["trade_id"]),
                "ts": int(row["ts"]),
                "eff": now[i],
                "p": Fraction(repr(float(row["price"]))),
                "q": Fraction(repr(float(row["size"]))),
                "s": int(row["side"]),
            }
        )
    return out


def bar(members: list[Trade], ts: int, end: int) -> dict[str, Any]:
    """Return the figures of a bar."""
    volume = sum(t["q"] for t in members)
    notional = sum(t["p"] * t["q"] for t in members)
    return {
        "ts": ts,
        "end": end,
        "first_id": members[0]["id"],
        "last_id": members[-1]["id"],
        "open": float(members[0]["p"]),
        "high": float(max(t["p"] for t in members)),
        "low": float(min(t["p"] for t in members)),
        "close": float(members[-1]["p"]),
        "volume": float(volume),
        "buy_volume": float(sum(t["q"] for t in members if t["s"] > 0)),
        "notional": float(notional),
        "vwap": float(notional / volume),
        "trades": len(members),
    }


def time_bars(tape_trades: list[Trade], width: int) -> list[dict[str, Any]]:
    """Return time bars of `width` us; a trade before the open second belongs to the open second."""
    by: dict[int, list[Trade]] = defaultdict(list)
    for trade in tape_trades:
        by[trade["eff"] // 1_000_000 * 1_000_000 // width * width].append(trade)
    return [bar(members, start, start + width) for start, members in sorted(by.items())]


def threshold_bars(tape_trades: list[Trade], measure: str, threshold: Fraction) -> list[dict[str, Any]]:
    """Return tick, volume or dollar bars of one date, the open one left out."""
    out, members, total = [], [], Fraction(0)
    for trade in tape_trades:
        members.append(trade)
        total += {"tick": Fraction(1), "volume": trade["q"], "dollar": trade["p"] * trade["q"]}[measure]
        if total >= threshold:
            out.append(bar(members, members[0]["eff"], trade["eff"]))
            members, total = [], Fraction(0)
    return out


def vpin(tape_trades: list[Trade], volume: Fraction, n: int) -> list[dict[str, Any]]:
    """Return buckets of one date with VPIN from aggressor flags and its null band."""
    out: list[dict[str, Any]] = []
    fill, buy, squares, first = Fraction(0), Fraction(0), Fraction(0), 0
    for trade in tape_trades:
        rest = trade["q"]
        while rest > 0:
            if fill == 0:
                first = trade["eff"]
            piece = min(rest, volume - fill)
            rest, fill = rest - piece, fill + piece
            buy += piece if trade["s"] > 0 else 0
            squares += piece * trade["q"]
            if fill == volume:
                out.append({"ts": first, "end": trade["eff"], "buy": buy, "imbalance": abs(2 * buy - volume), "squares": squares})
                fill, buy, squares = Fraction(0), Fraction(0), Fraction(0)
    for k, bucket in enumerate(out):
        window = out[max(0, k + 1 - n) : k + 1]
        bucket["vpin"] = sum(b["imbalance"] for b in window) / (n * volume) if len(window) == n else None
        if len(window) == n:
            u = float(sum(b["squares"] for b in window) / (n * volume))
            mean = math.sqrt(2 * u / (math.pi * float(volume)))
            deviation = math.sqrt((1 - 2 / math.pi) * u / (float(volume) * n))
            bucket["low"], bucket["high"] = mean - 1.96 * deviation, mean + 1.96 * deviation
    return out


def percentiles(values: list[float], window: int, least: int) -> list[float | None]:
    """Return for each value the share of the `window` values before it that are at most as great."""
    out: list[float | None] = []
    for k, value in enumerate(values):
        past = values[max(0, k - window) : k]
        out.append(sum(p <= value for p in past) / len(past) if len(past) >= least else None)
    return out


def z_of(values: list[float], value: float) -> float | None:
    """Return how many standard deviations (ddof 1) a value lies above the mean of others."""
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
    return (value - mean) / deviation if deviation > 0 else None
