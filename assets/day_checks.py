"""The checks of finished days, answered from what the seal stored and from the rows themselves; at most three an asset."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import msgspec

from assets import home, soundness
from assets.finishing import Seals
from assets.partitions import DAYS, key_of
from pipelines.history.day import Day
from pipelines.history.differences import UNEXPLAINED
from pipelines.store.lake import Lake

ABOUT = {
    "sound": "Rows have the schema, a full and unique key, and keep the table's rules; ids follow each other or "
    "the ledger says why not; no volume is lost between tables.",
    "equals_live": "Every difference from what the stream wrote is explained: late, repaired, closed by clock, tie ...",
}
MATCHES = (
    "Minutes are those of the venue's own 1-minute klines, taker buys included: 99 % of them exact on a tape of fills. On a "
    "tape of aggregates the share is reported, and sides that are turned round fail."
)
COMPARED = "bars"
"""The table that is held against the venue's klines."""


UNFINISHED = "unfinished"
"""Metadata of a check whose day failed: what is wrong is the run, which tells of itself."""


def specs(tables: tuple[str, ...]) -> Iterator[dg.AssetCheckSpec]:
    """Yield the checks of the assets of finished days."""
    for name in tables:
        for check, about in ABOUT.items():
            yield dg.AssetCheckSpec(check, asset=name, partitions_def=DAYS, description=about)
        if name == COMPARED:
            yield dg.AssetCheckSpec("matches_venue", asset=name, partitions_def=DAYS, description=MATCHES)


def evaluations(lake: Lake, day: Day, name: str, seals: Seals) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield the answers for one table of a finished day; every check that is specified has one."""
    yield _sound(lake, day, name, seals)
    yield _equals_live(day, name, seals)
    if name == COMPARED:
        yield _matches_venue(day, name, seals)


def unfinished(day: Day, name: str, error: str) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield answers for one table of a day that failed; without any Dagster would say that the checks themselves had."""
    for check in (*ABOUT, *(["matches_venue"] if name == COMPARED else [])):
        yield dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(name),
            check_name=check,
            partition=key_of(day),
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"the day was not finished, and what there is of it is as before: {error}",
            metadata={UNFINISHED: True},
        )


def _sound(lake: Lake, day: Day, name: str, seals: Seals) -> dg.AssetCheckEvaluation:
    paths = [path for path, file in lake.live(name).items() if (file.date, file.venue) == (str(day.date), day.venue)]
    verdict = soundness.examine(lake.latest(name), name, paths)
    faults, numbers = Counter(verdict.faults), Counter[str]()
    for told in _checks(seals, "sound").values():
        faults.update(told.get("faults", {}).get(name, {}))
        numbers.update(told.get("numbers", {}) if name == "trades" else {})
    told_faults = "; ".join(f"{fault}: {n:,}" for fault, n in faults.items())
    shown = {"rows": verdict.rows, "faulty_rows": sum(verdict.faults.values()), **numbers}
    return _answer(day, name, "sound", told_faults or f"{verdict.rows:,} rows in {verdict.files} files", shown, passed=not faults)


def _matches_venue(day: Day, name: str, seals: Seals) -> dg.AssetCheckEvaluation:
    lines, minutes, exact, passed = [], 0, 0, True
    for symbol, told in sorted(_checks(seals, "matches_venue").items()):
        if "compared" not in told:
            why = told.get("not_compared") or told.get("nothing_common")
            lines.append(f"{symbol}: not compared: {why}{home.option() if 'tapeflow backfill' in str(why) else ''}")
            continue
        minutes, exact, passed = minutes + told["compared"], exact + told["exact"], passed and told["passed"]
        away = f", unlike: {told['differing']}, first at {', '.join(told['shown'])}" if told["shown"] else ""
        turned = "; THE SIDES ARE TURNED ROUND" if told["away"] > told["flipped_away"] else ""
        lines.append(f"{symbol}: {told['exact']:,} of {told['compared']:,} minutes are exact ({told['tape']} tape){away}{turned}")
    numbers: dict[str, float] = {"minutes": minutes, "exact": exact}
    if minutes:
        numbers["exact_share"] = round(exact / minutes, 6)
    return _answer(
        day, name, "matches_venue", "\n".join(lines) or "not compared: sealed before there was this check", numbers, passed=passed
    )


def _checks(seals: Seals, check: str) -> dict[str, dict[str, Any]]:
    """Return what the seals say of a check, by symbol; nothing of those that were made before there was such a check."""
    told = {symbol: msgspec.json.decode(row["details"] or "{}").get("checks", {}).get(check) for symbol, row in seals.items()}
    return {symbol: found for symbol, found in told.items() if found}


def _equals_live(day: Day, name: str, seals: Seals) -> dg.AssetCheckEvaluation:
    counts = _differences(seals, name)
    told = "; ".join(f"{kind}: {n:,}" for kind, n in counts.items() if kind != "equal")
    if not told:
        told = "every row is as the stream wrote it" if counts else "the stream wrote none"
    numbers = {kind.replace(" ", "_"): n for kind, n in counts.items()}
    return _answer(day, name, "equals_live", told, numbers, passed=not any(UNEXPLAINED in kind for kind in counts))


def _answer(day: Day, name: str, check: str, told: str, numbers: Mapping[str, float], *, passed: bool) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(name),
        check_name=check,
        partition=key_of(day),
        passed=passed,
        description=told,
        metadata=dict(numbers),
    )


def _differences(seals: Seals, name: str) -> Counter[str]:
    """Return how many rows of a table are equal to those of the stream, and how many differ why; nothing if none were live."""
    counts: Counter[str] = Counter()
    for row in seals.values():
        told: dict[str, Any] = msgspec.json.decode(row["details"] or "{}").get("tables", {}).get(name, {})
        for kind, found in told.items():
            if isinstance(found, int):
                counts[kind] += found
            elif isinstance(found, dict):
                counts.update({f"{kind} {reason}": n for reason, n in found.items() if isinstance(n, int)})
    return +counts
