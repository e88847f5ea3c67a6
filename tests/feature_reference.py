"""The measures of minutes once more, slow and plain: exact fractions, 40 digits where there is a logarithm or a root."""

from __future__ import annotations

import math
from collections import defaultdict
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from typing import Any

from pipelines.market import DAY_US
from tests.reference import Trade

MINUTE = 60_000_000
Minute = dict[str, Any]


def minutes(trades: list[Trade]) -> dict[int, Minute]:
    """Return every minute from the first with trades to the last by its start; one without trades carries the price."""
    by: dict[int, list[Trade]] = defaultdict(list)
    for trade in trades:
        by[trade["eff"] // 1_000_000 * 1_000_000 // MINUTE * MINUTE].append(trade)
    out: dict[int, Minute] = {}
    close = Fraction(0)
    for ts in range(min(by), max(by) + MINUTE, MINUTE):
        members = by.get(ts, [])
        close = members[-1]["p"] if members else close
        out[ts] = {
            "traded": bool(members),
            "high": max((t["p"] for t in members), default=close),
            "low": min((t["p"] for t in members), default=close),
            "close": close,
            "volume": sum((t["q"] for t in members), Fraction(0)),
            "buy": sum((t["q"] for t in members if t["s"] > 0), Fraction(0)),
            "notional": sum((t["p"] * t["q"] for t in members), Fraction(0)),
        }
    return out


def log_return(after: Fraction, before: Fraction) -> Fraction:
    """Return ln(after / before) to 40 digits."""
    with localcontext() as context:
        context.prec = 50
        ratio = after / before
        return Fraction((Decimal(ratio.numerator) / Decimal(ratio.denominator)).ln())


def root(value: Fraction) -> float:
    """Return the square root, rounded once."""
    with localcontext() as context:
        context.prec = 50
        return float((Decimal(value.numerator) / Decimal(value.denominator)).sqrt())


def atr(of: dict[int, Minute], ts: int, w: int) -> float | None:
    """Return Wilder's ATR over the bars of `w` minutes that ended by the end of the minute at `ts`; restarts at midnight."""
    width, end = w * MINUTE, ts + MINUTE
    bars: list[tuple[int, Fraction, Fraction]] = []
    before: Fraction | None = None
    for start in range(min(of) // width * width, end - width + 1, width):
        inside = [of[t] for t in range(start, start + width, MINUTE) if t in of]
        close = inside[-1]["close"]
        traded = [m for m in inside if m["traded"]]
        high = max((m["high"] for m in traded), default=close)
        low = min((m["low"] for m in traded), default=close)
        true = high - low if before is None else max(high - low, abs(high - before), abs(low - before))
        bars.append((start, true, high - low))
        before = close
    day = ts // DAY_US * DAY_US
    earlier, today = [b for b in bars if b[0] < day][-140:], [b for b in bars if b[0] >= day]
    ranges = [b[1] for b in earlier + today]
    if earlier:
        ranges[0] = earlier[0][2]
    if len(ranges) < 14:
        return None
    value = float(sum(ranges[:14]) / 14)
    for true in ranges[14:]:
        value = (13 * value + float(true)) / 14
    return value


def window(of: dict[int, Minute], ts: int, w: int, back: int = 0) -> list[Minute] | None:
    """Return the `w` minutes up to that at `ts`, or up to `back` minutes before it; None: some are not known."""
    starts = [ts - (back + k) * MINUTE for k in reversed(range(w))]
    return [of[t] for t in starts] if starts[0] in of else None


def trailing(of: dict[int, Minute], ts: int, w: int) -> dict[str, float | None]:
    """Return the measures that end in the length of their window."""
    now, then, before = window(of, ts, w), window(of, ts, 1, w), window(of, ts, 20 * w, w)
    out: dict[str, float | None] = dict.fromkeys(f"{n}_{w}m" for n in ("mom_bps", "px_vs_vwap_bps", "rvol", "trade_imbalance"))
    if then:
        out[f"mom_bps_{w}m"] = float(10_000 * (of[ts]["close"] / then[0]["close"] - 1))
    if now:
        volume = sum(m["volume"] for m in now)
        out[f"px_vs_vwap_bps_{w}m"] = float(10_000 * (of[ts]["close"] * volume / sum(m["notional"] for m in now) - 1))
        out[f"trade_imbalance_{w}m"] = float((2 * sum(m["buy"] for m in now) - volume) / volume)
        if before and sum(m["volume"] for m in before):
            out[f"rvol_{w}m"] = float(20 * volume / sum(m["volume"] for m in before))
    return out | {f"atr_{w}m": atr(of, ts, w)}


def hour(of: dict[int, Minute], ts: int) -> dict[str, float | None]:
    """Return what follows from the last 60 minutes; the slope by the normal equations."""
    names = ("rv_1h", "kyle_lambda_1h", "kyle_t_1h", "kyle_n_1h", "amihud_1h", "roll_bps_1h")
    known = window(of, ts, 61)
    if known is None:
        return dict.fromkeys(names)
    pairs = list(pairwise(known))
    returns = [log_return(m["close"], b["close"]) for b, m in pairs]
    traded = [k for k, (_, m) in enumerate(pairs) if m["traded"]]
    change = [pairs[k][1]["close"] - pairs[k][0]["close"] for k in traded]
    out: dict[str, float | None] = {
        "rv_1h": float(sum(r * r for r in returns)),
        "amihud_1h": float(sum(abs(returns[k]) / pairs[k][1]["notional"] for k in traded) / len(traded)),
        "kyle_n_1h": len(traded),
    }
    return out | _kyle([2 * pairs[k][1]["buy"] - pairs[k][1]["volume"] for k in traded], change) | _roll(change, of[ts]["close"])


def _kyle(x: list[Fraction], y: list[Fraction]) -> dict[str, float | None]:
    n = len(x)
    if n < 20 or len(set(x)) == 1:
        return {"kyle_lambda_1h": None, "kyle_t_1h": None}
    determinant = n * sum(a * a for a in x) - sum(x) ** 2
    slope = (n * sum(a * b for a, b in zip(x, y, strict=True)) - sum(x) * sum(y)) / determinant
    level = (sum(y) - slope * sum(x)) / n
    left = sum((b - level - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    error = Fraction(left) / (n - 2) * n / determinant
    return {"kyle_lambda_1h": float(slope), "kyle_t_1h": float(slope) / root(error) if error and len(set(y)) > 1 else None}


def _roll(change: list[Fraction], close: Fraction) -> dict[str, float | None]:
    now, before = change[1:], change[:-1]
    n = len(now)
    if n < 20:
        return {"roll_bps_1h": None}
    mean, mean_before = Fraction(sum(now)) / n, Fraction(sum(before)) / n
    covariance = Fraction(sum((a - mean) * (b - mean_before) for a, b in zip(now, before, strict=True))) / (n - 1)
    return {"roll_bps_1h": 20_000 * root(-covariance) / float(close) if covariance < 0 else None}


def day(of: dict[int, Minute], ts: int) -> dict[str, float | None]:
    """Return what follows from closes of five minutes."""
    out: dict[str, float | None] = dict.fromkeys(("rv_1d", "bv_1d", "jump_share_1d", "jump_z_1d", "lee_mykland_5m"))
    last = (ts + MINUTE) // (5 * MINUTE) * 5 * MINUTE
    ends = [t for t in range(last - 325 * 5 * MINUTE, last + 1, 5 * MINUTE) if t - MINUTE in of]
    closes = [of[t - MINUTE]["close"] for t in ends]
    r = [float(log_return(b, a)) for a, b in pairwise(closes)]
    if len(r) == 325:
        sigma = math.sqrt(math.fsum(abs(r[j] * r[j - 1]) for j in range(1, 324)) / 323)
        out["lee_mykland_5m"] = r[-1] / sigma if sigma else None
    if len(r) < 288:
        return out
    r = r[-288:]
    rv = math.fsum(x * x for x in r)
    bv = math.pi / 2 * 288 / 287 * math.fsum(abs(a * b) for a, b in pairwise(r))
    out |= {"rv_1d": rv, "bv_1d": bv}
    if rv > 0:
        out["jump_share_1d"] = (rv - bv) / rv
        mu = 2 ** (2 / 3) * math.gamma(7 / 6) / math.gamma(1 / 2)
        tq = 288 * mu**-3 * 288 / 286 * math.fsum(abs(r[k] * r[k - 1] * r[k - 2]) ** (4 / 3) for k in range(2, 288))
        if bv > 0:
            out["jump_z_1d"] = (rv - bv) / rv / math.sqrt(((math.pi / 2) ** 2 + math.pi - 5) / 288 * max(1, tq / bv**2))
    return out


def row(of: dict[int, Minute], ts: int) -> dict[str, float | None]:
    """Return all of it for the minute at `ts`."""
    quarter = window(of, ts, 16)
    returns = [log_return(m["close"], b["close"]) for b, m in pairwise(quarter)] if quarter else None
    out = {"rv_15m": float(sum(r * r for r in returns)) if returns is not None else None}
    return out | trailing(of, ts, 1) | trailing(of, ts, 5) | trailing(of, ts, 15) | hour(of, ts) | day(of, ts)
