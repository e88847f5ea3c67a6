"""The stream's tables as external assets, and the sensor that reports what Bytewax has committed to them."""

import datetime as dt
import time

import dagster as dg
import msgspec

from assets import checks, deltalog
from assets.resources import LiveLake
from pipelines.schema import Table
from pipelines.store.lake import Lake, Summary

REPORT_S = 300
"""The tables are reported this often, and at once when a feed falls silent or returns, or a table gets its first rows."""

MADE_FROM = {
    "bars": ("trades",),
    "vpin": ("trades",),
    "features": ("bars", "trades", "quotes"),
    "posture": ("features",),
    "alerts": ("trades", "bars", "vpin", "features", "posture"),
}

STEADY = {"trades", "bars", "coverage"}
"""Tables that grow by the minute as long as the stream runs."""

FRESH = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(minutes=15), warn_window=dt.timedelta(minutes=10))


class Cursor(msgspec.Struct, frozen=True):
    """What has been reported: when (s since 1970), each table's version then, and the venues that were silent."""

    at: float = 0.0
    versions: dict[str, int] = {}
    silent: list[str] = []


def live_assets(root: str) -> list[dg.AssetSpec]:
    """Return one external asset `live/<table>` per table of the lake at `root`."""
    return [_asset(table, f"{root}/{table.name}") for table in checks.STREAMED.values()]


def _asset(table: Table, uri: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        checks.key(table.name),
        deps=[checks.key(name) for name in MADE_FROM.get(table.name, ())],
        group_name="live",
        description=f"{table.doc}\n\nUnsealed rows of the stream, unique by `{', '.join(table.key)}`.",
        kinds={"bytewax", "deltalake", "parquet"},
        owners=["team:tapeflow"],
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": table.name,
            "dagster/uri": uri,
            "partitioned_by": "date, venue",
            "committed": "every epoch" if table.every_epoch else "once a minute of journal time",
        },
        freshness_policy=FRESH if table.name in STEADY else None,
    )


def column_schema(table: Table) -> dg.TableSchema:
    """Return the columns of a table as Dagster shows them."""
    required = {*table.key, "date", "venue", "ts", "end"}
    docs = {c.name: c.doc for c in table.columns} | {"date": "UTC date of the row; a partition column"}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=str(field.type),
                description=docs[field.name],
                constraints=dg.TableColumnConstraints(nullable=field.name not in required),
            )
            for field in table.lake_schema
        ],
        constraints=dg.TableConstraints(other=[f"unique by {', '.join(table.key)}"]),
    )


@dg.sensor(name="live_tables", minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def live_tables(context: dg.SensorEvaluationContext, lake: LiveLake) -> dg.SensorResult | dg.SkipReason:
    """Report every 5 minutes what the stream has committed, from the Delta logs; at once when a feed falls silent or returns."""
    cursor = msgspec.json.decode(context.cursor, type=Cursor) if context.cursor else Cursor()
    return report(lake, cursor, time.time())


def report(lake: LiveLake, cursor: Cursor, now: float) -> dg.SensorResult | dg.SkipReason:
    """Return one materialization per table that has new rows, the checks of these rows, and the cursor behind them."""
    trades = deltalog.open_table(lake.root, "trades")
    if trades is None:
        return dg.SkipReason(f"no lake at {lake.root} yet: `tapeflow up` makes it")
    silent = checks.silent(lake, trades, now)
    tables = {name: table for name in checks.STREAMED if (table := deltalog.open_table(lake.root, name)) and table.file_uris()}
    if now - cursor.at < REPORT_S and silent == cursor.silent and tables.keys() <= cursor.versions.keys():
        return dg.SkipReason(f"reported {now - cursor.at:.0f} s ago; the next report is due after {REPORT_S} s")
    totals = {total.table: total for total in Lake(lake.root).summary()}
    events: list[dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation] = []
    for name, table in tables.items():
        news = deltalog.added(table, cursor.versions.get(name), after_ms=int(cursor.at * 1000))
        if news:
            events += [_materialization(totals[name], news, now), checks.sound(name, table, news)]
    reached = Cursor(now, {name: table.version() for name, table in tables.items()}, silent)
    return dg.SensorResult(asset_events=[*events, *checks.state(lake, now)], cursor=msgspec.json.encode(reached).decode())


def _materialization(total: Summary, news: list[deltalog.Added], now: float) -> dg.AssetMaterialization:
    rows = sum(file.rows for file in news)
    lag = {"lag_s": round(now - total.max_ts.timestamp(), 1)} if total.max_ts else {}
    return dg.AssetMaterialization(
        checks.key(total.table),
        description=f"{rows:,} new rows",
        metadata={
            "new_rows": rows,
            "new_files": len(news),
            "dagster/row_count": total.rows,
            "files": total.files,
            "bytes": total.bytes,
            **lag,
        },
    )
