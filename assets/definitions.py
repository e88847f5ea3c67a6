"""Everything Dagster shows and runs; loading it reads the settings and writes nothing."""

import os
import warnings

import dagster as dg

from assets import agents, briefs, home, learned, news, reissues, research, retention, sealing, slack
from assets.backtests import backtest, backtest_asset
from assets.checks import live_checks
from assets.compaction import compaction
from assets.elevated import elevated_briefs
from assets.failures import failures
from assets.history import ARCHIVES, history_assets
from assets.live import live_assets, live_tables
from assets.reporting import finished_elsewhere
from assets.resources import LiveLake
from assets.upkeep import daily_upkeep, upkeep
from pipelines import settings

_settings = settings.demo_settings(settings.load()) if os.environ.get(home.USE_DEMO) else settings.load()
_slack = slack.from_environment()._replace(api=_settings.briefs.slack.api)

warnings.filterwarnings("ignore", category=dg.BetaWarning)  # of backfill policies, at each load
warnings.filterwarnings("ignore", category=dg.PreviewWarning)  # of checks by partition

defs = dg.Definitions(
    assets=[
        *live_assets(_settings.lake_root),
        ARCHIVES,
        history_assets(_settings),
        compaction(_settings),
        *retention.retention_assets(_settings),
        backtest_asset(_settings),
        *research.research_assets(_settings),
        learned.learned_asset(_settings),
        news.news_asset(_settings),
        *agents.agent_assets(),
        *briefs.brief_assets(_settings),
    ],
    asset_checks=[live_checks, agents.agent_checks(_settings), reissues.reissue_check(_settings)],
    jobs=[
        upkeep,
        backtest,
        sealing.finish_days,
        retention.hourly,
        retention.removal,
        *research.jobs,
        learned.learn,
        reissues.archive_check,
        news.news_digest,
        *briefs.jobs.values(),
    ],
    schedules=[
        daily_upkeep,
        *retention.schedules,
        *research.schedules,
        learned.monthly,
        reissues.weekly,
        news.daily,
        *briefs.schedules(_settings),
    ],
    sensors=[
        live_tables,
        *sealing.sensors(_settings),
        finished_elsewhere(_settings),
        agents.agents_sensor(_settings),
        elevated_briefs(_settings),
        failures(f"http://127.0.0.1:{_settings.ports.dagster}", _slack),
    ],
    resources={"lake": LiveLake(root=_settings.lake_root, venues=sorted(_settings.venues))},
    executor=dg.in_process_executor,
)
