"""The backtest as an asset: VPIN, benchmarks and detectors as alarms of falls, over finished days or made-up ones."""

import datetime as dt
import re
from typing import Any

import dagster as dg
from pydantic import Field

from assets import home, pictures
from assets.live import column_schema
from pipelines import backtests
from pipelines.backtests import Backtest, BacktestError, GeneratedTape, LakeTape
from pipelines.market import TABLES
from pipelines.research.backtest import generated, protocol, report
from pipelines.research.backtest.judge import Asked
from pipelines.research.backtest.trades import Instrument, Span
from pipelines.settings import Settings
from pipelines.store.lake import Lake

_LINK = re.compile(r" \(\[definitions\][^)]*\)\)")
_PICTURE = re.compile(r"^!\[.*\n?", re.MULTILINE)


class BacktestConfig(dg.Config):
    """What is asked; dates are UTC, the last included. The control is what came before: every measure's past, and calm days."""

    venue: str = "binance-spot"
    symbols: list[str] = Field(["BTC-USDT", "FTT-USDT", "SOL-USDT"], description="ours or the venue's own names")
    first: str = "2022-11-02"
    last: str = "2022-11-12"
    control_first: str = "2022-08-02"
    control_last: str = "2022-11-01"
    grid: str = "25,50,100/25,50,100/20"
    generated: bool = Field(default=False, description="made-up days of that size: nothing they show is a market's")
    scale: float = Field(1.0, description="of made-up days: share of the size")


def backtest_asset(settings: Settings) -> dg.AssetsDefinition:
    """Return the asset of table `backtests`."""
    table = TABLES["backtests"]

    @dg.asset(
        key="backtests",
        group_name="research",
        description=f"{_LINK.sub('', table.doc)}\n\n"
        "What the numbers do not show stands in the report; docs/backtest.md says how to read it.",
        kinds={"numba", "deltalake"},
        owners=["team:tapeflow"],
        deps=["trades", "alerts"],
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": table.name,
            "dagster/uri": f"{settings.lake_root}/{table.name}",
        },
    )
    def made(context: dg.AssetExecutionContext, config: BacktestConfig) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster understands none
        lake = Lake(settings.lake_root)
        try:
            found = _make(lake, config, context)
        except (BacktestError, ValueError) as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        backtests.commit(lake, found)
        path = backtests.save(found, settings.data / "backtests")
        return dg.MaterializeResult(metadata=_metadata(found) | {"file": dg.MetadataValue.path(str(path))})

    return made


backtest = dg.define_asset_job(
    "backtest",
    selection=dg.AssetSelection.assets("backtests"),
    description="Try VPIN, plain benchmarks and the detectors as alarms of falls. Run config says over what.",
)


def _make(lake: Lake, config: BacktestConfig, context: dg.AssetExecutionContext) -> Backtest:
    span = Span(dt.date.fromisoformat(config.first), dt.date.fromisoformat(config.last))
    control = Span(dt.date.fromisoformat(config.control_first), dt.date.fromisoformat(config.control_last))
    if not control.first <= control.last < span.first <= span.last:
        raise BacktestError("control and dates asked about must be in this order, and end after they begin")
    cells = protocol.grid(config.grid)

    def told(symbol: str) -> None:
        context.log.info("%s is done", symbol)

    if config.generated:
        tape = generated.Generated(span, control, scale=config.scale, symbols=tuple(config.symbols))
        about = tuple(Instrument(generated.VENUE, symbol) for symbol in config.symbols)
        return backtests.make(Asked(about, span, control, cells), GeneratedTape(tape), told=told)
    about = backtests.instruments(lake, config.venue, config.symbols, control.first, span.last, option=home.option())
    dates = sorted({*control.dates(), *span.dates()})
    return backtests.make(Asked(about, span, control, cells), LakeTape(lake.root, dates), told=told)


def _metadata(found: Backtest) -> dict[str, Any]:
    """Return the headline numbers, the report without its plots, and the plots."""
    plots = report.pictures(found.judged, found.generated)
    text = backtests.written(found, dict.fromkeys(plots, ""))
    told: dict[str, Any] = {
        "run": found.run,
        "protocol": protocol.digest(),
        "days": f"GENERATED, no market's: {found.generated}" if found.generated else "a market's",
        "figures": sum(len(one.figures) for one in found.judged),
        "trades": sum(one.trades for one in found.judged),
        "events": sum(len(one.events) for one in found.judged),
        "seconds": round(found.seconds, 1),
        "report": dg.MetadataValue.md(_PICTURE.sub("", text)),
    }
    return told | {name: pictures.markdown(svg) for name, svg in plots.items()}
