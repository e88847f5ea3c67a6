"""The measures once more, slow and plain, in exact fractions: what the kernels are held against."""

from __future__ import annotations

import math
from bisect import bisect_right
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


def weight(trade: Trade, measure: str) -> Fraction:
    """Return what a trade counts in bars of this measure."""
    return Fraction({"tick": 1, "volume": trade["q"], "dollar": trade["p"] * trade["q"]}[measure])


def imbalance_bars(tape_trades: list[Trade], rule: str, measure: str, threshold: Fraction) -> list[dict[str, Any]]:
    """Return imbalance or run bars of one date with a fixed threshold, the open one left out."""
    out, members, flow = [], [], {1: Fraction(0), -1: Fraction(0)}
    for trade in tape_trades:
        members.append(trade)
        flow[trade["s"]] += weight(trade, measure)
        imbalance = flow[1] - flow[-1]
        if (abs(imbalance) if rule == "imbalance" else max(flow.values())) >= threshold:
            out.append(bar(members, members[0]["eff"], trade["eff"]) | {"imbalance": float(imbalance)})
            members, flow = [], {1: Fraction(0), -1: Fraction(0)}
    return out


def adaptive_bars(
    tape_trades: list[Trade], rule: str, measure: str, nominal: int, past: list[tuple[float, float, float]] | None = None
) -> list[dict[str, Any]]:
    """Return imbalance or run bars of one date whose threshold is made of past bars: (trades, imbalance, total) each."""
    past = list(past or [])
    out, members, flow = [], [], {1: Fraction(0), -1: Fraction(0)}
    threshold = expected(past, rule, nominal) if past else None
    for trade in tape_trades:
        members.append(trade)
        flow[trade["s"]] += weight(trade, measure)
        imbalance = float(flow[1] - flow[-1])
        value = abs(imbalance) if rule == "imbalance" else float(max(flow.values()))
        done = len(members) == nominal if threshold is None else value >= threshold or len(members) >= 25 * nominal
        if not done:
            continue
        closed = (float(len(members)), imbalance, float(sum(flow.values())))
        if threshold is None:
            threshold = expected([closed], rule, nominal)
        else:
            figures = bar(members, members[0]["eff"], trade["eff"])
            out.append(figures | {"imbalance": imbalance, "threshold": threshold})
            past.append(closed)
            threshold = expected(past, rule, nominal)
        members, flow = [], {1: Fraction(0), -1: Fraction(0)}
    return out


def expected(past: list[tuple[float, float, float]], rule: str, nominal: int) -> float:
    """Return the threshold that past bars expect."""
    weights = [1.0]
    for _ in past[-200:][1:]:
        weights = [w * (1 - 2 / 21) for w in weights] + [2 / 21]
    trades, signed, total = (sum(w * x[k] for w, x in zip(weights, past[-200:], strict=True)) for k in range(3))
    length = min(max(trades, nominal / 5), nominal * 5)
    if rule == "imbalance":
        return float(f"{max(length * abs(signed / trades), math.sqrt(nominal) * total / trades):.12g}")
    return float(f"{max(length * (total + abs(signed)) / 2 / trades, nominal / 2 * total / trades):.12g}")


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


def shares_bought(tape_trades: list[Trade], window: int = 60) -> list[tuple[int, Fraction, float]]:
    """Return the end of each minute that has trades, its volume, and the share of it that bulk classification calls bought."""
    by: dict[int, list[Trade]] = defaultdict(list)
    for trade in tape_trades:
        by[trade["eff"] // 60_000_000].append(trade)
    out: list[tuple[int, Fraction, float]] = []
    changes: list[Fraction] = []
    last = None
    for minute, members in sorted(by.items()):
        close, share = members[-1]["p"], 0.5
        if last is not None:
            change, before = close - last, changes[-window:]
            if len(before) == window and len(set(before)) > 1:
                mean = sum(before) / window
                variance = sum((x - mean) ** 2 for x in before) / (window - 1)
                share = (1 + math.erf(float(change) / math.sqrt(variance) / math.sqrt(2))) / 2
            changes.append(change)
        last = close
        out.append(((minute + 1) * 60_000_000, Fraction(sum(t["q"] for t in members)), share))
    return out


def bulk_vpin(minutes: list[tuple[int, Fraction, float]], volume: Fraction, n: int, ends: list[int]) -> list[float | None]:
    """Return at each of `ends` VPIN over the last n buckets whose minutes are over; `minutes` of `shares_bought`."""
    known: list[tuple[int, float]] = []
    parts: list[float] = []
    fill, date = Fraction(0), 0
    for end, size, share in minutes:
        if (end - 1) // DAY_US > date:
            fill, parts, date = Fraction(0), [], (end - 1) // DAY_US
        rest = size
        while rest > 0:
            piece = min(rest, volume - fill)
            rest, fill = rest - piece, fill + piece
            parts.append(float(piece) * share)
            if fill == volume:
                known.append((end, abs(2 * math.fsum(parts) - float(volume))))
                fill, parts = Fraction(0), []
    out: list[float | None] = []
    over = [by for by, _ in known]
    for end in ends:
        count = bisect_right(over, end)
        window = [imbalance for _, imbalance in known[max(0, count - n) : count]]
        out.append(math.fsum(window) / (n * float(volume)) if len(window) == n else None)
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
