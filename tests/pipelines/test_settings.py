"""Faults of the settings are told all at once, misspelled keys among them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.market import TABLES
from pipelines.retention_settings import Retention
from pipelines.settings import Settings, SettingsError, load, secret

pytestmark = pytest.mark.usefixtures("place")


def faults(text: str) -> list[str]:
    Path("tapeflow.yaml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        load()
    return refused.value.faults


def test_a_misspelled_setting_is_named_with_the_nearest() -> None:
    assert faults("venue:\n  binance-spot: {symbols: [BTC-USDT]}\n") == [
        "tapeflow.yaml: venue: unknown setting; did you mean venues?"
    ]


def test_a_setting_that_resembles_none_is_named_alone() -> None:
    assert faults("zzz: 1\n") == ["tapeflow.yaml: zzz: unknown setting"]


@pytest.mark.parametrize("text", ["7: 1\n", "- data\n", "data\n"])
def test_a_file_that_names_no_settings_is_refused(text: str) -> None:
    assert "holds no settings by name" in faults(text)[0]


def test_a_file_that_is_named_and_absent_is_told_with_the_other_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEFLOW_CONFIG", "desk/mine.yaml")
    monkeypatch.setenv("TAPEFLOW_SHARD", "A B")
    with pytest.raises(SettingsError) as refused:
        load()
    first, second = refused.value.faults
    assert first == "TAPEFLOW_CONFIG: there is no file desk/mine.yaml; make it (`tapeflow init` does), or unset the variable"
    assert second.startswith("TAPEFLOW_SHARD: shard: ")


@pytest.mark.parametrize("name", ["tapeflow.yaml", "mine.yaml"])
def test_a_folder_in_the_place_of_the_file_is_a_fault(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / name).mkdir()
    if name != "tapeflow.yaml":
        monkeypatch.setenv("TAPEFLOW_CONFIG", name)
    with pytest.raises(SettingsError, match=f"{name}: a folder, not a file of settings; remove it, or name a file in TAPEFLOW"):
        load()


@pytest.mark.parametrize("named", ["", os.devnull])
def test_no_file_is_the_defaults(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEFLOW_CONFIG", named)
    assert load() == Settings()


def test_unknown_settings_are_told_together_with_wrong_ones() -> None:
    found = faults("prots: {dagster: 1}\nports: {dagster: 0}\nvenues: {mars: {symbols: [A]}}\n")
    assert found[0] == "tapeflow.yaml: prots: unknown setting; did you mean ports?"
    assert [fault.split(": ")[1] for fault in found] == ["prots", "venues.mars", "ports.dagster"]


def test_unknown_settings_are_told_together_with_a_wrong_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEFLOW_VENUES", "{")
    assert [fault.split(" ")[0] for fault in faults("prots: {}\n")] == ["tapeflow.yaml:", "a"]


def test_a_fault_names_the_variable_that_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEFLOW_PORTS__DAGSTER", "0")
    Path(".env").write_text("TAPEFLOW_LOG_LEVEL=loud\n")
    monkeypatch.setenv("TAPEFLOW_VENUES", '{"okx": 1}')
    assert [fault.rpartition(": ")[0] for fault in faults("shard: 'A B'\n")] == [
        "tapeflow.yaml: shard",
        "tapeflow.yaml or TAPEFLOW_VENUES: venues.okx",
        "TAPEFLOW_PORTS__DAGSTER: ports.dagster",
        "TAPEFLOW_LOG_LEVEL: log_level",
    ]


def test_a_venue_of_which_nothing_is_recorded_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEFLOW_DEMO__SYMBOLS", "[]")
    assert faults("venues: {okx: {symbols: []}, kraken: {symbols: [BTC-USD]}}\n") == [
        "tapeflow.yaml: venues.okx.symbols: names none; write at least one, like [BTC-USDT]",
        "TAPEFLOW_DEMO__SYMBOLS: demo.symbols: names none; write at least one, like [BTC-USDT]",
    ]


def test_faults_of_form_are_told_in_words_of_yaml() -> None:
    venues = "{okx: {symbols: BTC-USDT, feed: [trades]}, kraken: 1}"
    assert faults(f"data: 2020-01-01\nvenues: {venues}\nports: [1]\nendpoints:\n") == [
        "tapeflow.yaml: data: write a path, in quotes where it looks like a number or date",
        "tapeflow.yaml: venues.okx.symbols: write a list, like [a, b]",
        "tapeflow.yaml: venues.okx.feed: unknown setting",
        "tapeflow.yaml: venues.kraken: write settings by name below it, or leave it out",
        "tapeflow.yaml: endpoints: write settings by name below it, or leave it out",
        "tapeflow.yaml: ports: write settings by name below it, or leave it out",
    ]


@pytest.mark.parametrize(
    "line", ["5 * * * *", "*/5 0 1-7 jan,JUL mon-fri", "10 7 * * 7", "0-30/10,45 22 31 12 0", "0 22-6 29 2 *", "0 0 31 4-5 *"]
)
def test_a_cron_line_is_taken(line: str) -> None:
    Path("tapeflow.yaml").write_text(f"briefs: {{hourly: '{line}'}}\n")
    assert load().briefs.hourly == line


@pytest.mark.parametrize(
    "line", ["nix", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "mon * * * *"]
)
def test_a_cron_line_that_would_keep_dagster_from_loading_is_refused(line: str) -> None:
    remedy = "write five fields, minute, hour, day, month and weekday, like 5 * * * * or 10 7 * * mon-fri"
    assert faults(f"briefs: {{daily: '{line}'}}\n") == [f"tapeflow.yaml: briefs.daily: {line!r} is no cron line; {remedy}"]


@pytest.mark.parametrize("line", ["@daily", "@hourly", "0 0 * * * 2030", "0mon * * * *", "* * * * 0mon"])
def test_what_is_not_five_fields_is_refused_with_what_they_are(line: str) -> None:
    (fault,) = faults(f"briefs: {{hourly: '{line}'}}\n")
    assert f"{line!r} is no cron line; write five fields, minute, hour, day, month and weekday, like 5 * * * *" in fault


@pytest.mark.parametrize(
    "line",
    ["0 0 31 2 *", "0 0 30 feb *", "0 0 30,31 2 *", "0 0 31 4,6,9,nov *", "0 0 31 2 mon", "0 0 31-1/31 4 *", "0 0 30/1 02 *"],
)
def test_a_date_that_never_comes_is_refused(line: str) -> None:
    (fault,) = faults(f"briefs: {{daily: '{line}'}}\n")
    assert fault.startswith(f"tapeflow.yaml: briefs.daily: {line!r} never comes: no month it names has day 3")


def test_an_env_file_may_hold_names_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAPEFLOW_SHARD", raising=False)
    Path(".env").write_text("SLACK_BOT_TOKEN=x\nTAPEFLOW_SHARD=mine\n")
    assert load().shard == "mine"


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_an_empty_file_is_the_defaults(text: str) -> None:
    Path("tapeflow.yaml").write_text(text)
    assert load() == Settings()


def test_faults_of_news_are_told_with_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAPEFLOW_NEWS", raising=False)
    assert faults(
        "news:\n  day_s: 1\n  feeds:\n    a: {url: 'ftp://x'}\n    b: {url: 'https://x.example/?auth_token=abc'}\n"
        "    c: {url: 'https://x.example/{token}'}\n    UP: {url: 'https://x.example/'}\n"
    ) == [
        "tapeflow.yaml: news.feeds.a.url: no URL like https://example.com/rss",
        (
            "tapeflow.yaml: news.feeds.b.url: the URL holds a secret; write {token} in its place and name the variable"
            " that holds it in token_env"
        ),
        "tapeflow.yaml: news.feeds.c: {token} in url and token_env go together",
        "tapeflow.yaml: news.feeds.UP: 'UP' is no name for a feed; use lower-case letters, digits and hyphens",
        "tapeflow.yaml: news.day_s: Input should be greater than or equal to 30",
    ]
    assert faults("news: {feeds: {coindesk: , mars: }}\n")[0].startswith(
        "tapeflow.yaml: news: no preset mars; give a url, or use "
    )


def test_presets_and_feeds_of_ones_own_are_chosen() -> None:
    Path("tapeflow.yaml").write_text("news: {feeds: {coindesk: , cryptopanic-api: , mine: {url: 'https://x.example/rss'}}}\n")
    chosen = load().news.chosen()
    assert chosen["coindesk"].url == "https://www.coindesk.com/arc/outboundfeeds/rss/"
    assert (chosen["cryptopanic-api"].form, chosen["cryptopanic-api"].token_env) == ("cryptopanic", "CRYPTOPANIC_TOKEN")
    assert chosen["mine"].form == "rss"


def test_vpin_by_bulk_classification_needs_minutes() -> None:
    assert faults("kernels: {bars: [1s, 1h], detectors: {volume_surge: {bar: 1h}}}\n") == [
        "tapeflow.yaml: kernels: bars lacks 1m, which vpin_bvc is made of; add it, or leave vpin (and bucket_volume) empty"
    ]
    Path("tapeflow.yaml").write_text("kernels: {bars: [1s, 1h], vpin: [], detectors: {volume_surge: {bar: 1h}}}\n")
    assert load().kernels.bars == ("1s", "1h")


@pytest.mark.parametrize("volume", ["0.000000001", "1e-8"])
def test_a_bucket_volume_out_of_range_is_refused(volume: str) -> None:
    assert "kernels.bucket_volume" in faults(f"kernels: {{bucket_volume: '{volume}'}}\n")[0]


def test_faults_of_retention_are_told_with_the_others() -> None:
    found = faults("retention: {quotes: 0, inputs: 3}\njournal: {keep_days: 9}\n")
    assert found[0].startswith("tapeflow.yaml: journal: keep_unsealed_days is 7, less than keep_days (9)")
    assert found[1].startswith("tapeflow.yaml: retention: no limit can be set for inputs: there are trades, bars,")
    assert faults("retention: {quotes: 0}\n") == ["tapeflow.yaml: retention.quotes: Input should be greater than or equal to 1"]


def test_limits_of_retention_can_be_set_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tapeflow.yaml").write_text("retention: {quotes: null}\n")
    monkeypatch.setenv("TAPEFLOW_RETENTION__TRADES", "90")
    limits = load().retention.limits()
    assert limits["trades"] == 90
    assert "quotes" not in limits
    assert limits["book"] == 30


def test_retention_limits_tables_that_there_are() -> None:
    assert set(Retention.model_fields) <= TABLES.keys()
    kept = {"alerts", "gaps", "inputs", "instruments", "seals"}
    assert kept.isdisjoint(Retention.model_fields)


def test_a_secret_is_read_from_the_environment_then_from_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("SOME_TOKEN=from-file\n")
    monkeypatch.delenv("SOME_TOKEN", raising=False)
    assert secret("SOME_TOKEN") == "from-file"
    monkeypatch.setenv("SOME_TOKEN", "from-environment")
    assert secret("SOME_TOKEN") == "from-environment"
    monkeypatch.setenv("SOME_TOKEN", "")
    assert secret("SOME_TOKEN") is None
    assert secret("OTHER_TOKEN") is None
