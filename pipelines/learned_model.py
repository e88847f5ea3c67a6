"""The model of the learned detector: numbers that make a score of a row of table `features`, and where they come from."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.feature_tables import VERSION

BUILT_IN: Final = Path(__file__).with_name("learned_model.json")
"""Learned from 20 days of recorded minutes; docs/learned.md says how, and how it was judged."""


class Term(BaseModel):
    """A column's part in the log odds: weight x (ln max(|x|, floor) - center) / scale."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    column: str
    floor: float = Field(gt=0)
    center: float
    scale: float = Field(gt=0)
    weight: float


class Model(BaseModel):
    """A logistic regression on the magnitudes of features: each row stands for a probability that an event follows."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    features: int = Field(description="version of the features it was learned from")
    event: str = Field(description="event rule that says what is foretold, like move:1%/10m")
    horizon: str = Field(description="span within which the event is to be over, like 20m")
    instruments: tuple[str, ...] = Field(description="what it was learned from: venue and symbol")
    first: dt.date = Field(description="first UTC date it was learned from")
    last: dt.date = Field(description="last UTC date it was learned from; it is judged on later ones alone")
    terms: tuple[Term, ...] = Field(min_length=1)
    intercept: float
    level: float = Field(gt=0, lt=1, description="probability from which it alerts")
    rearm: float = Field(gt=0, le=1, description="share of the level that it must fall below before it alerts again")
    cooldown_min: int = Field(ge=0, le=240, description="minutes in which an instrument does not alert again")

    @property
    def version(self) -> int:
        """A number that changes with the model: 53 bits of the SHA-256 of all it says, so that JSON keeps it whole."""
        return int.from_bytes(hashlib.sha256(self.model_dump_json().encode()).digest()[:8], "big") >> 11

    def check(self) -> None:
        """Refuse a model that was learned from other features than are computed now.

        Raises
        ------
        ValueError
            Saying what to do.
        """
        if self.features != VERSION:
            raise ValueError(
                f"learned from version {self.features} of the features, these are of version {VERSION}: learn it again with"
                " `tapeflow learn`, or set kernels.detectors.learned.model to built-in or off"
            )


def chosen(value: Any) -> Any:
    """Return what a setting means: `built-in`, `off` (which YAML reads as false), or the path of a model's file.

    Raises
    ------
    ValueError
        If the file holds no model that can be used.
    """
    if value in (None, False, "off"):
        return None
    if value in (True, "on", "built-in"):
        return built_in()
    return read(Path(value)) if isinstance(value, str | Path) else value


def built_in() -> Model:
    """Return the model that tapeflow brings."""
    return read(BUILT_IN)


def read(path: Path) -> Model:
    """Return the model of a file.

    Raises
    ------
    ValueError
        If there is none that can be used, saying what to do.
    """
    try:
        model = Model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; name a file that `tapeflow learn` wrote, or built-in, or off") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{path}: {place + ': ' if place else ''}{first['msg']}; is it a file of `tapeflow learn`?") from None
    model.check()
    return model
