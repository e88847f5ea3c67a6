"""Settings of briefs: when they are written, what is told at once, who writes, and what that may cost."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, model_validator

from pipelines.detector_settings import Part

Hour = Annotated[int, Field(ge=0, le=24)]
SLACK = "https://slack.com/api/"


def _zone(name: str) -> str:
    if name in available_timezones():
        return name
    raise ValueError(f"no time zone {name!r}; use a name like UTC or Europe/Berlin")


CRON = ((0, 59, ""), (0, 23, ""), (1, 31, ""), (1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"), (0, 7, "sunmontuewedthufrisat"))
"""Of each field of a cron line: the least and the greatest number, and the names of three letters that stand for numbers."""
LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days that each month can have."""


def _cron(line: str) -> str:
    """Refuse what Dagster would: a schedule that it cannot read keeps all of its assets, checks and sensors from loading."""
    fields = line.split()
    found = [_numbers(field, *bounds) for field, bounds in zip(fields, CRON, strict=False)]
    if len(fields) != len(CRON) or not all(found):
        fields_are = "five fields, minute, hour, day, month and weekday"
        raise ValueError(f"{line!r} is no cron line; write {fields_are}, like 5 * * * * or 10 7 * * mon-fri")
    _, _, days, months, _ = found
    if min(days) > max(LONGEST[month - 1] for month in months):
        raise ValueError(f"{line!r} never comes: no month it names has day {min(days)}; write one that it has")
    return " ".join(fields)


def _numbers(field: str, least: int, most: int, names: str) -> set[int]:
    """Return what a field stands for; nothing if it is no list of numbers, names, ranges or `*`, each with or without a step."""
    known = {name: least + n for n, name in enumerate(re.findall("...", names))}
    known |= {text: n for n in range(least, most + 1) for text in (str(n), f"{n:02}")}
    numbers: set[int] = set()
    for item in field.lower().split(","):
        found = re.fullmatch(r"(?:\*|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/0*([1-9][0-9]?))?", item)
        if not found or not all(value in known for value in found.groups()[:2] if value):
            return set()
        first, last, step = found.groups()
        begin = known[first] if first else least
        end = known[last] if last else begin if first and not step else most
        around = [*range(begin, most + 1), *range(least, end + 1)]
        numbers |= set((range(begin, end + 1) if begin <= end else around)[:: int(step or 1)])
    return numbers


class Elevated(Part):
    """What is told at once: any of these."""

    severity: Literal[1, 2, 3] = Field(3, description="alerts from this severity on, borne out by one of another kind")
    confirm_min: int = Field(5, ge=0, le=60, description="within how many minutes; 0: severity alone is enough")
    vpin_pct: float = Field(0.99, gt=0, le=1, description="alerts of vpin_high from this percentile on")
    posture: bool = Field(False, description="each change of posture to long or short")


class Slack(Part):
    """Where messages go; the token (SLACK_BOT_TOKEN) or webhook (SLACK_WEBHOOK_URL) and SLACK_CHANNEL are the environment's."""

    api: str = Field(SLACK, pattern=r"^https?://\S+/$", description="base URL of Slack's API, or of a stand-in")
    channels: dict[Annotated[int, Field(ge=1, le=3)], str] = Field(
        default_factory=dict, description="severity: channel, where it is not SLACK_CHANNEL; needs a bot token"
    )
    mode: Literal["analysis_only", "verbose"] = Field(
        "analysis_only", description="analysis_only: briefs and what is elevated; verbose: every alert, and each brief"
    )


class Model(Part):
    """The language model that may word a brief; off unless `protocol` is set. It receives facts and writes no number."""

    protocol: Literal["openai", "bedrock"] | None = Field(
        None, description="openai: any URL that speaks it, key in OPENAI_API_KEY; bedrock: credentials as AWS has them"
    )
    name: str = Field("", description="the model's name at its provider")
    url: str | None = Field(None, description="base URL, like http://127.0.0.1:11434/v1; default: the provider's own")
    timeout_s: float = Field(20.0, gt=0, le=120)
    output_tokens: int = Field(1500, ge=100, le=20_000, description="most tokens of one answer")
    tokens_a_day: int = Field(200_000, ge=0, description="in and out, per UTC date; then the template writes")
    dollars_a_day: float = Field(2.0, ge=0, description="by the prices below; then the template writes")
    dollars_in: float = Field(3.0, ge=0, description="price of a million tokens in")
    dollars_out: float = Field(15.0, ge=0, description="price of a million tokens out")
    every_s: int = Field(300, ge=0, description="least time between two briefs that it words")

    @model_validator(mode="after")
    def _is_named(self) -> Model:
        if self.protocol and not self.name:
            raise ValueError(f"protocol is {self.protocol} but name is empty; name the model as its provider does")
        return self


def _moment(text: str) -> str:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write it like 2026-12-10T13:30Z") from None
    return text


class Event(Part):
    """A time at which figures are published."""

    name: str = Field(min_length=1, max_length=80)
    at: Annotated[str, AfterValidator(_moment)] = Field(description="like 2026-12-10T13:30Z; without a zone it is UTC")
    symbols: tuple[str, ...] = Field((), description="whom it concerns; default all")
    before_min: int = Field(30, ge=0, le=1440)
    after_min: int = Field(60, ge=0, le=1440)


class Briefs(Part):
    """Briefs, and what is told at once."""

    time_zone: Annotated[str, AfterValidator(_zone)] = Field("UTC", description="of the schedules and of quiet hours")
    hourly: Annotated[str, AfterValidator(_cron)] = Field("5 * * * *", description="cron")
    daily: Annotated[str, AfterValidator(_cron)] = Field("10 7 * * *", description="cron")
    episode_min: int = Field(30, ge=1, le=1440, description="alerts this soon after the last belong to one episode, one thread")
    cooldown_min: int = Field(
        15, ge=0, le=1440, description="least time between two messages of one episode, but for what is worse"
    )
    a_day: int = Field(6, ge=0, le=1000, description="unscheduled messages a day; the rest comes in one digest")
    quiet: tuple[Hour, Hour] | None = Field(None, description="hours between which only severity 3 is told at once, like [22, 6]")
    elevated: Elevated = Elevated()
    slack: Slack = Slack()
    model: Model = Model()
    calendar: tuple[Event, ...] = Field((), description="macro windows: {name: CPI, at: 2026-12-10T13:30Z}")

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.time_zone)
