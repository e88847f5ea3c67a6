"""Everything Dagster shows and runs; loading it reads the settings and writes nothing."""

import os

import dagster as dg

from assets.checks import live_checks
from assets.live import live_assets, live_tables
from assets.resources import LiveLake
from assets.upkeep import daily_upkeep, upkeep
from pipelines import settings

_settings = settings.demo_settings(settings.load()) if os.environ.get("TAPEFLOW_USE_DEMO") else settings.load()

defs = dg.Definitions(
    assets=live_assets(_settings.lake_root),
    asset_checks=[live_checks],
    jobs=[upkeep],
    schedules=[daily_upkeep],
    sensors=[live_tables],
    resources={"lake": LiveLake(root=_settings.lake_root, venues=sorted(_settings.venues))},
    executor=dg.in_process_executor,
)
