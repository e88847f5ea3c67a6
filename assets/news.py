"""A digest of the headlines of the last 24 hours, every day."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from assets import checks, pictures
from assets.compaction import table
from assets.research import NO_LAKE, Clock, nothing, utc
from pipelines.news.digest import NONE, Digest, digest
from pipelines.settings import Settings
from pipelines.store import upkeep
from pipelines.store.lake import Lake

KEY = dg.AssetKey(["news", "digest"])


def news_asset(settings: Settings, clock: Clock = utc) -> dg.AssetsDefinition:
    """Return the asset of the digest."""

    @dg.asset(
        key=KEY,
        group_name="research",
        kinds={"markdown"},
        owners=["team:tapeflow"],
        deps=[checks.key("news")],
        output_required=False,
    )
    def made(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        """Headlines first seen in the last 24 hours, by symbol, with counts. What moved prices is not said.

        Without feeds in the settings (`news`) there are none.
        """
        now, lake = clock(), Lake(settings.lake_root)
        if not upkeep.tables(lake):
            return nothing(context, KEY, NO_LAKE)
        since = now - dt.timedelta(days=1)
        news = lake.table("news", start=since, end=now)
        found = news.select("venue", "news_id", "first_seen", "title", "url", "source", "symbols", "edited").collect()
        if found.is_empty():
            why = "no feeds in the settings (news)" if not settings.news.feeds else f"no headline since {since:%F %R} UTC"
            return nothing(context, KEY, why)
        yield dg.MaterializeResult(metadata=_metadata(digest(found.with_columns(pl.col("symbols").fill_null([])), now)))
        return None

    return made


def _metadata(found: Digest) -> dict[str, Any]:
    hours = [f"{found.until - dt.timedelta(hours=24 - k):%H:%M}" for k in range(24)]
    return {
        "headlines": found.headlines,
        "edited": found.edited,
        "symbols": len(found.symbols.keys() - {NONE}),
        "feeds": len(found.feeds),
        "digest": dg.MetadataValue.md(found.text),
        **table("by_symbol", [{"symbol": symbol, "headlines": count} for symbol, count in found.symbols.items()]),
        **table("by_feed", [{"feed": feed, "headlines": count} for feed, count in found.feeds.items()]),
        "plot": pictures.markdown(pictures.columns("headlines an hour, UTC", found.hours, hours)),
    }


news_digest = dg.define_asset_job("news_digest", dg.AssetSelection.assets(KEY), description="Digest the headlines of a day.")
daily = dg.ScheduleDefinition(
    name="daily_news_digest", job=news_digest, cron_schedule="0 6 * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)
