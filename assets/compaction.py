"""Few files: the stream's files of a minute each are merged every hour, beside the running flow."""

from collections import Counter
from typing import Any

import dagster as dg

from assets import pictures
from pipelines.settings import Settings
from pipelines.store import upkeep
from pipelines.store.lake import Lake

FILES = dg.AssetKey(["lake", "files"])
POOL = "lake_files"
"""One compaction at a time; it runs beside whoever seals."""
MANY = 500
"""Files of a table, date and venue; the stream adds 60 an hour."""
SHOWN = 20
"""Rows of a table that are shown."""


def compaction(settings: Settings) -> dg.AssetsDefinition:
    """Return the asset of the lake's files."""

    @dg.asset(
        key=FILES,
        group_name="lake",
        kinds={"deltalake", "parquet"},
        owners=["team:tapeflow"],
        pool=POOL,
        deps=[["live", "trades"]],
        check_specs=[dg.AssetCheckSpec("few", asset=FILES, description=f"No day of a table has over {MANY} files.")],
    )
    def files(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster understands none beside checks
        """Data files of the lake: small ones are merged by date, venue and writer; replaced ones leave the volume an hour later.

        No row changes, and within a file they stay in the table's order. Files that a seal wrote are left alone.
        """
        lake = Lake(settings.lake_root)
        merged: dict[str, upkeep.Merged] = {}
        freed: dict[str, upkeep.Freed] = {}
        for name in upkeep.tables(lake):
            merged[name], freed[name] = upkeep.compact(lake, name), upkeep.vacuum(lake, name)
            if any(merged[name]):
                context.log.info("%s: %d files became %d", name, *merged[name])
        return _result(lake, merged, freed)

    return files


def _result(lake: Lake, merged: dict[str, upkeep.Merged], freed: dict[str, upkeep.Freed]) -> dg.MaterializeResult[None]:
    live = {name: list(lake.live(name).values()) for name in merged}
    days = Counter((name, file.date, file.venue) for name, files in live.items() for file in files)
    many = [f"{table} {venue} {date}: {n}" for (table, date, venue), n in sorted(days.items()) if n > MANY]
    held = {name: len(files) for name, files in live.items() if files}
    rows = [
        {"table": name, "merged": was, "into": became, "deleted": freed[name].files, "files": held.get(name, 0)}
        for name, (was, became) in merged.items()
        if was or freed[name].files
    ]
    plot = pictures.bars("files by table", list(held.values()), list(held), [f"{n:,}" for n in held.values()])
    return dg.MaterializeResult(
        metadata={
            "merged_files": sum(m.files for m in merged.values()),
            "into_files": sum(m.into for m in merged.values()),
            "deleted_files": sum(f.files for f in freed.values()),
            "deleted_bytes": sum(f.bytes for f in freed.values()),
            "files": sum(held.values()),
            **table("by_table", rows),
            "plot": pictures.markdown(plot),
        },
        check_results=[
            dg.AssetCheckResult(
                passed=not many,
                check_name="few",
                severity=dg.AssetCheckSeverity.WARN,
                description="; ".join(many[:SHOWN]) or f"no day of a table has over {MANY} files",
                metadata={"days": len(many)},
            )
        ],
    )


def table(name: str, rows: list[dict[str, Any]]) -> dict[str, dg.TableMetadataValue]:
    """Return the first rows as Dagster shows them, by name; nothing where there are none."""
    if not rows:
        return {}
    columns = [dg.TableColumn(field, "int" if isinstance(value, int) else "string") for field, value in rows[0].items()]
    return {name: dg.MetadataValue.table([dg.TableRecord(row) for row in rows[:SHOWN]], dg.TableSchema(columns))}
