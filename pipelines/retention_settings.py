"""Settings of retention: for how many UTC dates each table is kept."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from pipelines.detector_settings import Part

Days = Annotated[int | None, Field(ge=1)]


class Retention(Part):
    """UTC dates that `tapeflow retain` keeps of a table; null, and tables not listed: for ever (docs/retention.md)."""

    trades: Days = None
    bars: Days = None
    vpin: Days = None
    features: Days = None
    posture: Days = None
    quotes: Days = 30
    book: Days = 30
    liquidations: Days = None
    funding: Days = None
    news: Days = None
    klines: Days = None
    quarantine: Days = 90
    coverage: Days = None

    @model_validator(mode="before")
    @classmethod
    def _others_are_kept(cls, said: Any) -> Any:
        unknown = [str(name) for name in said if name not in cls.model_fields] if isinstance(said, dict) else []
        if unknown:
            raise ValueError(
                f"no limit can be set for {', '.join(unknown)}: there are {', '.join(cls.model_fields)};"
                " all other tables are kept for ever"
            )
        return said

    def limits(self) -> dict[str, int]:
        """Return the tables that have a limit."""
        return {name: days for name, days in self if days is not None}
