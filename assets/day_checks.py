"""The checks of finished days, answered from what the seal stored and from the rows themselves; at most three an asset."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg
import msgspec

from assets import soundness
from assets.finishing import Seals
from assets.partitions import DAYS, key_of
from pipelines.history.day import Day
from pipelines.history.differences import UNEXPLAINED
from pipelines.store.lake import Lake

ABOUT = {
    "sound": "Rows have the schema, a full and unique key, and keep the table's rules.",
    "equals_live": "Every difference from what the stream wrote is explained: late, repaired, closed by clock, tie ...",
}


def specs(tables: tuple[str, ...]) -> Iterator[dg.AssetCheckSpec]:
    """Yield the checks of the assets of finished days."""
    for name in tables:
        for check, about in ABOUT.items():
            yield dg.AssetCheckSpec(check, asset=name, partitions_def=DAYS, description=about)


def evaluations(lake: Lake, day: Day, name: str, seals: Seals) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield the answers for one table of a finished day; every check that is specified has one."""
    yield _sound(lake, day, name)
    yield _equals_live(day, name, seals)


def _sound(lake: Lake, day: Day, name: str) -> dg.AssetCheckEvaluation:
    paths = [path for path, file in lake.live(name).items() if (file.date, file.venue) == (str(day.date), day.venue)]
    verdict = soundness.examine(lake.latest(name), name, paths)
    told = "; ".join(f"{fault}: {n:,}" for fault, n in verdict.faults.items())
    numbers = {"rows": verdict.rows, "faulty_rows": sum(verdict.faults.values())}
    return _answer(
        day, name, "sound", told or f"{verdict.rows:,} rows in {verdict.files} files", numbers, passed=not verdict.faults
    )


def _equals_live(day: Day, name: str, seals: Seals) -> dg.AssetCheckEvaluation:
    counts = _differences(seals, name)
    told = "; ".join(f"{kind}: {n:,}" for kind, n in counts.items() if kind != "equal")
    if not told:
        told = "every row is as the stream wrote it" if counts else "the stream wrote none"
    numbers = {kind.replace(" ", "_"): n for kind, n in counts.items()}
    return _answer(day, name, "equals_live", told, numbers, passed=not any(UNEXPLAINED in kind for kind in counts))


def _answer(day: Day, name: str, check: str, told: str, numbers: dict[str, int], *, passed: bool) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(name), check_name=check, partition=key_of(day), passed=passed, description=told, metadata=numbers
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
