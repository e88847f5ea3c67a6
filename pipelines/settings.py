"""One typed settings tree: `tapeflow.yaml` and TAPEFLOW_* variables, all faults told at once."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from dotenv import dotenv_values
from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource
from pydantic_settings import SettingsError as PydanticSettingsError

from pipelines.brief_settings import Briefs
from pipelines.detector_settings import BigTrade, Detectors, Part, VolumeSurge, VpinHigh
from pipelines.feeds import FEEDS, QUIET, Feed
from pipelines.kernel_names import AMOUNT, checked_bar, checked_vpin
from pipelines.market import BAR_WIDTHS_US
from pipelines.news_presets import PRESETS, Form
from pipelines.retention_settings import Retention

CONFIG = "tapeflow.yaml"
VENUES = (
    *("binance-spot", "binance-usdm", "binance-coinm", "okx", "bybit-spot", "bybit-linear", "bybit-inverse"),
    *("coinbase", "coinbase-advanced", "kraken", "demo", "ftx"),
)
CLOSED = ("ftx",)
"""Venues of which there are only files."""


class SettingsError(Exception):
    """Settings that cannot work. `faults` lists every fault found, each with its place and a remedy."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _venue(name: str) -> str:
    if name in VENUES:
        return name
    raise ValueError(f"unknown venue {name!r}; use {', '.join(VENUES)}")


def _open_venue(name: str) -> str:
    if name in CLOSED:
        raise ValueError(f"{name} has closed and cannot be recorded; its files go into a folder: archives.{name}")
    return _venue(name)


def config_file() -> str:
    """Return where the file of settings is: where TAPEFLOW_CONFIG says, or at the default place."""
    return os.environ.get("TAPEFLOW_CONFIG") or CONFIG


def secret(variable: str) -> str | None:
    """Return the value of an environment variable, or what `.env` says of it where it is unset; None where it is empty."""
    value = os.environ.get(variable)
    return (dotenv_values(".env").get(variable) if value is None else value) or None


class Venue(Part):
    """A venue to record."""

    symbols: tuple[str, ...] = Field(min_length=1, description="like BTC-USDT or the venue's own BTCUSDT")
    feeds: tuple[Feed, ...] | None = Field(
        None, description="of trades, quotes, book, liquidations, funding; default: all but quotes and book that are verified"
    )
    redundancy: Literal[1, 2] = Field(1, description="sockets per feed")

    def feeds_of(self, verified: Collection[Feed]) -> tuple[Feed, ...]:
        """Return what is recorded: what was asked for, else trades and, of what is quiet, what was verified at the venue."""
        return self.feeds or ("trades", *(feed for feed in FEEDS if feed in QUIET and feed in verified))


class Book(Part):
    """Snapshots of the order book."""

    interval_s: float = Field(10.0, ge=0.1, le=3600, description="time between snapshots")


class Kernels(Part):
    """All settings that change a result; the recorder journals them, the flow takes them from there."""

    bars: tuple[Annotated[str, AfterValidator(checked_bar)], ...] = (*BAR_WIDTHS_US, "tick:500", "volume", "dollar")
    vpin: tuple[Annotated[str, AfterValidator(checked_vpin)], ...] = ("adv50x50",)
    percentile_window: int = Field(1500, ge=10, le=100_000, description="past VPIN values a percentile is taken over")
    percentile_min: int = Field(250, ge=2, description="past values needed before there is a percentile")
    bucket_volume: str | None = Field(
        None,
        pattern=rf"^{AMOUNT}$",
        description="X adds the setting vXx50 and, where no average daily volume is known, stands for ADV = 50 X",
    )
    book: Book = Book()
    detectors: Detectors = Detectors()

    @model_validator(mode="after")
    def _surge_bar_is_stored(self) -> Kernels:
        if self.detectors.volume_surge.bar not in self.bars:
            raise ValueError(f"detectors.volume_surge.bar is {self.detectors.volume_surge.bar}, which is not among bars; add it")
        return self

    @model_validator(mode="after")
    def _bulk_needs_minutes(self) -> Kernels:
        if self.vpin_settings() and "1m" not in self.bars:
            raise ValueError("bars lacks 1m, which vpin_bvc is made of; add it, or leave vpin (and bucket_volume) empty")
        return self

    def canonical(self) -> bytes:
        """Return the settings as the JSON that is journaled and hashed."""
        return self.model_dump_json().encode()

    def vpin_settings(self) -> tuple[str, ...]:
        """Return the VPIN settings, with the one that `bucket_volume` adds."""
        if self.bucket_volume is None:
            return self.vpin
        extra = f"v{self.bucket_volume}x50"
        return self.vpin if extra in self.vpin else (*self.vpin, extra)


class Ports(Part):
    """Ports on this machine."""

    dagster: int = Field(3000, ge=1, le=65535)
    metrics: int = Field(3030, ge=1, le=65535)
    demo: int = Field(8765, ge=1, le=65535)


class Journal(Part):
    """The journal of raw frames."""

    segment_mb: int = Field(64, ge=1, le=4096)
    segment_minutes: int = Field(15, ge=1, le=1440)
    keep_days: int = Field(3, ge=3, description="UTC dates kept; never past what the flow has consumed")
    keep_unsealed_days: int = Field(7, ge=3, description="the same while a date is not sealed: `tapeflow rebuild` reads them")

    @model_validator(mode="after")
    def _unsealed_are_kept_longer(self) -> Journal:
        if self.keep_unsealed_days < self.keep_days:
            raise ValueError(f"keep_unsealed_days is {self.keep_unsealed_days}, less than keep_days ({self.keep_days})")
        return self


def _feed_name(name: str) -> str:
    if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", name):
        return name
    raise ValueError(f"{name!r} is no name for a feed; use lower-case letters, digits and hyphens")


def _feed_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0 and not re.search(r"\s", url)
    except ValueError:
        sound = False
    if not sound:
        raise ValueError("no URL like https://example.com/rss")
    if parts.username is not None or re.search(r"[?&](auth_token|access_token|token|api_?key)=(?!\{token\})", url, re.IGNORECASE):
        raise ValueError("the URL holds a secret; write {token} in its place and name the variable that holds it in token_env")
    return url


class NewsFeed(Part):
    """A feed of headlines; `{token}` in the URL stands for the value of the environment variable `token_env`."""

    url: Annotated[str, AfterValidator(_feed_url)]
    form: Form = Field("rss", description="rss (or Atom), or CryptoPanic's JSON")
    token_env: str | None = Field(None, min_length=1, description="environment variable that holds the token")
    every_s: float | None = Field(None, ge=30, description="seconds between requests, day and night, where a plan allows few")

    @model_validator(mode="after")
    def _token_has_its_place(self) -> NewsFeed:
        if ("{token}" in self.url) != (self.token_env is not None):
            raise ValueError("{token} in url and token_env go together")
        return self


class News(Part):
    """The news poller; nothing is asked for unless `feeds` names something."""

    feeds: dict[Annotated[str, AfterValidator(_feed_name)], NewsFeed | None] = Field(
        default_factory=dict, description=f"name: {{url: ...}}; without one (`coindesk:`) a preset: {', '.join(PRESETS)}"
    )
    day_s: float = Field(120.0, ge=30, description="seconds between requests of one feed by day")
    night_s: float = Field(600.0, ge=30, description="and by night")
    day: tuple[Annotated[int, Field(ge=0, le=24)], Annotated[int, Field(ge=0, le=24)]] = Field(
        (6, 22), description="hours, UTC, between which it is day"
    )

    @model_validator(mode="after")
    def _presets_exist(self) -> News:
        if unknown := [name for name, feed in self.feeds.items() if feed is None and name not in PRESETS]:
            raise ValueError(f"no preset {', '.join(unknown)}; give a url, or use {', '.join(PRESETS)}")
        return self

    def chosen(self) -> dict[str, NewsFeed]:
        """Return the feeds to ask, presets filled in."""
        return {name: feed or NewsFeed(**PRESETS[name]._asdict()) for name, feed in self.feeds.items()}


class Demo(Part):
    """The demo exchange's market."""

    seed: int = 7
    symbols: tuple[str, ...] = Field(("BTC-USDT", "ETH-USDT", "SOL-USDT"), min_length=1)
    rate: float = Field(20.0, gt=0, le=10_000, description="mean trades a second over all symbols")
    recording: Path | None = Field(None, description="play this capture instead of the generated market")
    speed: float = Field(1.0, gt=0, le=1000, description="exchange seconds per second; the demo's recorder scales its clock")


class Settings(BaseSettings):
    """All settings; see `tapeflow init` for the file with every default commented."""

    model_config = SettingsConfigDict(
        env_prefix="TAPEFLOW_", env_nested_delimiter="__", env_file=".env", extra="ignore", frozen=True, yaml_file=CONFIG
    )

    data: Path = Field(Path("data"), description="folder of journal, lake, recovery store, Dagster home and logs")
    lake: str | None = Field(None, description="path or s3:// URL; default <data>/lake")
    shard: str = Field("main", pattern=r"^[a-z0-9][a-z0-9_-]*$")
    venues: dict[Annotated[str, AfterValidator(_open_venue)], Venue] = Field(
        default_factory=lambda: {"binance-usdm": Venue(symbols=("BTC-USDT-PERP", "ETH-USDT-PERP"))}
    )
    endpoints: dict[str, str] = Field(
        default_factory=dict, description="venue: base URL of a stand-in that speaks its protocol, like http://127.0.0.1:8765"
    )
    archives: dict[Annotated[str, AfterValidator(_venue)], str] = Field(
        default_factory=dict, description="venue: base URL of a mirror of its archive of trades, or a folder that holds its files"
    )
    kernels: Kernels = Kernels()
    rules: Path = Field(Path("rules.yaml"), description="file of your own rules, read again when it changes; docs/rules.md")
    ports: Ports = Ports()
    journal: Journal = Journal()
    retention: Retention = Retention()
    news: News = News()
    briefs: Briefs = Briefs()
    demo: Demo = Demo()
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, `.env`, then the file named by TAPEFLOW_CONFIG."""
        file_settings = YamlConfigSettingsSource(settings_cls, yaml_file=config_file())
        return init_settings, env_settings, dotenv_settings, file_settings

    @property
    def lake_root(self) -> str:
        """Where the lake is."""
        return self.lake or str(self.data / "lake")

    @property
    def journal_dir(self) -> Path:
        """Where this shard's journal is."""
        return self.data / "journal" / self.shard

    @property
    def recovery_dir(self) -> Path:
        """Where this shard's Bytewax recovery store is."""
        return self.data / "recovery" / self.shard

    @property
    def dagster_home(self) -> Path:
        """Where Dagster keeps its history."""
        return (self.data / "dagster").absolute()

    @property
    def log_dir(self) -> Path:
        """Where the processes' JSON logs are."""
        return self.data / "logs"


def load(**overrides: Any) -> Settings:
    """Read the settings.

    Raises
    ------
    SettingsError
        With every fault found: unknown venues and keys, values out of range, a file that is absent where it is named, or no YAML.
    """
    path = config_file()
    faults: list[str] = []
    try:
        faults += [*_misplaced(path), *_unknown(path)]
        settings = Settings(**overrides)
    except ValidationError as error:
        faults += [f"{_source(path, e['loc'])}: {_plain(e['type'], e['msg'])}" for e in error.errors()]
    except PydanticSettingsError as error:
        fault = f"a TAPEFLOW_ variable is not as it should be: {error}; lists and maps are written as JSON"
        raise SettingsError([*faults, fault]) from None
    except yaml.YAMLError as error:
        raise SettingsError([f"{path}: no valid YAML: {' '.join(str(error).split())}"]) from None
    if faults:
        raise SettingsError(faults)
    return settings


def _misplaced(path: str) -> list[str]:
    """Return a fault where a file is named and there is none; at the default place there need not be one."""
    if Path(path).is_dir():
        return [f"{path}: a folder, not a file of settings; remove it, or name a file in TAPEFLOW_CONFIG"]
    if os.environ.get("TAPEFLOW_CONFIG") and not Path(path).exists():
        return [f"TAPEFLOW_CONFIG: there is no file {path}; make it (`tapeflow init` does), or unset the variable"]
    return []


def _unknown(path: str) -> list[str]:
    """Return a fault for each top-level key of the file that is no setting; the model ignores them for the sake of `.env`."""
    said = yaml.safe_load(Path(path).read_bytes()) if Path(path).is_file() else {}
    if not isinstance(said, dict | None) or not all(isinstance(key, str) for key in said or ()):
        raise SettingsError([f"{path}: holds no settings by name, like `shard: main`; `tapeflow init` writes an example"])
    faults = []
    for key in said or ():
        if key not in Settings.model_fields:
            near = difflib.get_close_matches(key, Settings.model_fields, 1)
            faults.append(f"{path}: {key}: unknown setting" + (f"; did you mean {near[0]}?" if near else ""))
    return faults


def refuse_scaled_clock(settings: Settings) -> None:
    """Let only the demo run on a scaled clock.

    Raises
    ------
    SettingsError
        If `demo.speed` is set and another venue is recorded.
    """
    others = [name for name in settings.venues if name != "demo"]
    if settings.demo.speed != 1 and others:
        speed = f"demo.speed is {settings.demo.speed:g}"
        raise SettingsError([f"{speed}: {', '.join(others)} cannot run on a scaled clock; set it to 1"])


def _source(path: str, loc: tuple[int | str, ...]) -> str:
    """Return where a setting stands: in the file, in the variable that says it, or in either where a variable says a part."""
    place = [str(part) for part in loc if part != "[key]"]
    variables = {name.upper() for name in (*dotenv_values(".env"), *os.environ)}
    for n in range(len(place), 0, -1):
        name = "TAPEFLOW_" + "__".join(place[:n]).upper()
        if name in variables:
            return f"{name if n == len(place) else f'{path} or {name}'}: {'.'.join(place)}"
    return f"{path}: {'.'.join(place)}"


PLAIN = {
    "extra_forbidden": "unknown setting",
    "tuple_type": "write a list, like [a, b]",
    "dict_type": "write settings by name below it, or leave it out",
    "model_type": "write settings by name below it, or leave it out",
    "too_short": "names none; write at least one, like [BTC-USDT]",
    "path_type": "write a path, in quotes where it looks like a number or date",
}
"""What pydantic says in words of Python, by type of error."""


def _plain(kind: str, message: str) -> str:
    return PLAIN.get(kind, message.removeprefix("Value error, "))


def digest(value: bytes) -> str:
    """Return the first 16 hex digits of the SHA-256 of `value`, as stored in `inputs.hash`."""
    return hashlib.sha256(value).hexdigest()[:16]


def demo_settings(base: Settings) -> Settings:
    """Return the settings of the demo: venue `demo` alone, everything under `<data>/demo`, quick to show something."""
    return base.model_copy(
        update={
            "data": base.data / "demo",
            "lake": None,
            "venues": {"demo": Venue(symbols=base.demo.symbols)},
            "endpoints": {"demo": f"http://127.0.0.1:{base.ports.demo}"},
            "kernels": Kernels(
                vpin=("adv50x50", "v0.5x50"),
                percentile_window=300,
                percentile_min=20,
                detectors=Detectors(
                    big_trade=BigTrade(window=200, z=3.0, floor=20_000.0),
                    volume_surge=VolumeSurge(bar="1s", window=60, z=3.0, rvol=3.0),
                    vpin_high=VpinHigh(pct=0.95),
                ),
            ),
        }
    )
