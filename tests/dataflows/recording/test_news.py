"""The poller against a publisher on a local port: what it asks, what it journals, how long it waits, and what it hides."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from dataflows.recording import download
from dataflows.recording.metrics import Figures, registry
from dataflows.recording.news import Poller, backoff, interval, retry_after
from pipelines.engine import Engine
from pipelines.news.headlines import LARGEST
from pipelines.records import Batch, Kind, News, split_head
from pipelines.settings import Kernels, NewsFeed, SettingsError
from pipelines.settings import News as Wanted
from pipelines.store.journal import Damage, contents, segments
from pipelines.store.journal_report import entries
from tests import tapes
from tests.dataflows.recording.desk import exchange, recording, settings, until
from tests.dataflows.recording.publisher import Answer, Publisher, publisher
from tests.pipelines.news.bodies import BODIES, rss, story

NOON_NS = 1_700_006_400_000_000_000 + 12 * 3600 * 10**9
TOKEN = "s3cr3t/with+odd=chars"
ONE = rss(story(1, "One"))


class Desk:
    """Whom the poller records for, and its clock."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.time = 0.0
        self.open = True

    def now_ns(self) -> int:
        return NOON_NS

    def put(self, kind: Kind, payload: bytes, connection: int = 0) -> None:
        assert kind == Kind.NEWS
        self.written.append(payload)

    async def accepting(self) -> None:
        assert self.open

    def bodies(self, feed: str) -> list[bytes]:
        said = [split_head(payload) for payload in self.written]
        return [body for head, body in said if msgspec.json.decode(head, type=News).feed == feed]


@asynccontextmanager
async def poller(desk: Desk, made: Publisher, *names: str, **feeds: NewsFeed) -> AsyncIterator[Poller]:
    polling = Poller(desk, lambda: desk.time)
    plain = {name: NewsFeed(url=f"{made.url}/{name}") for name in names}
    polling.settle(Wanted(feeds={**plain, **feeds}))
    try:
        yield polling
    finally:
        await polling.close()


def sound(part: Batch | Damage) -> Batch:
    assert isinstance(part, Batch)
    return part


def play(test: Callable[[Desk, Publisher], Awaitable[None]]) -> Desk:
    desk = Desk()

    async def run() -> None:
        async with publisher() as made:
            await test(desk, made)

    asyncio.run(run())
    return desk


def test_a_body_is_journaled_verbatim_and_again_only_when_it_holds_news() -> None:
    async def test(desk: Desk, made: Publisher) -> None:
        async with poller(desk, made, "a") as polling:
            feed = polling.feeds["a"]
            stamped = ONE.replace(b"<title>T</title>", b"<title>T</title><lastBuildDate>later</lastBuildDate>")
            for body in (ONE, stamped, rss(story(1, "One, corrected"), story(2, "Two")), ONE):
                made.pages["/a"] = (200, {}, body)
                await polling.ask(feed)
            assert feed.counts == {"ok": 4, "items": 3}
            assert 0.9 * 120 <= feed.due <= 1.1 * 120

    assert play(test).bodies("a") == [ONE, rss(story(1, "One, corrected"), story(2, "Two"))]


def test_it_asks_on_condition_compressed_and_as_a_browser() -> None:
    def page(asked: dict[str, str]) -> Answer:
        known = asked.get("if-none-match") == '"v1"' and asked.get("if-modified-since") == "Sat, 21 Nov 2026 10:00:00 GMT"
        told = {"ETag": '"v1"', "Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT", "Content-Encoding": "gzip"}
        return (304, {}, b"") if known else (200, told, gzip.compress(ONE))

    async def test(desk: Desk, made: Publisher) -> None:
        made.pages["/a"] = page
        async with poller(desk, made, "a") as polling:
            for _ in range(3):
                await polling.ask(polling.feeds["a"])
            assert polling.feeds["a"].counts == {"ok": 1, "items": 1, "not_modified": 2}
            assert polling.report()["a"]["last_ok_ns"] == NOON_NS
        asked = made.asked["/a"][0]
        assert asked["user-agent"].startswith("Mozilla/5.0")
        assert asked["accept-encoding"] == "gzip"
        assert "if-none-match" not in asked

    assert play(test).bodies("a") == [ONE]


def test_failures_wait_longer_each_time_and_a_good_answer_ends_that() -> None:
    async def test(desk: Desk, made: Publisher) -> None:
        made.pages["/a"] = (500, {}, b"")
        async with poller(desk, made, "a") as polling:
            feed = polling.feeds["a"]
            for usual in (240, 480, 960, 1920, 3600, 3600):
                await polling.ask(feed)
                assert 0.9 * usual <= feed.due <= 1.1 * usual
            assert (feed.error, feed.failures, feed.counts) == ("HTTP 500", 6, {"failed": 6})
            made.pages["/a"] = (200, {}, ONE)
            await polling.ask(feed)
            assert (feed.error, feed.failures) == ("", 0)
            assert feed.due <= 132

    play(test)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_that_lasts_is_not_asked_about_for_an_hour(status: int) -> None:
    async def test(desk: Desk, made: Publisher) -> None:
        made.pages["/a"] = (status, {}, b"<html>no</html>")
        async with poller(desk, made, "a") as polling:
            await polling.ask(polling.feeds["a"])
            assert polling.feeds["a"].due >= 0.9 * 3600
            assert polling.report()["a"]["error"] == f"HTTP {status}"

    assert play(test).written == []


def test_retry_after_is_kept_to() -> None:
    async def test(desk: Desk, made: Publisher) -> None:
        made.pages["/a"] = (429, {"Retry-After": "7200"}, b"")
        async with poller(desk, made, "a") as polling:
            await polling.ask(polling.feeds["a"])
            assert polling.feeds["a"].due == 7200

    play(test)
    soon = datetime.now(UTC) + timedelta(minutes=10)
    assert 590 < retry_after(format_datetime(soon, usegmt=True)) <= 600
    assert [retry_after(said) for said in ("", "soon", "-5", "1e9", "9" * 30)] == [0, 0, 0, 0, 86_400]


def test_what_is_no_feed_is_journaled_once_and_counts_as_failed() -> None:
    async def test(desk: Desk, made: Publisher) -> None:
        made.pages["/a"] = (200, {"ETag": '"x"'}, b"<html>Just a moment...</html>")
        async with poller(desk, made, "a") as polling:
            for _ in range(2):
                await polling.ask(polling.feeds["a"])
            assert polling.feeds["a"].error == "it is no feed: its root is <html>"
            assert polling.feeds["a"].counts == {"failed": 2}
        assert "if-none-match" not in made.asked["/a"][1]

    assert play(test).bodies("a") == [b"<html>Just a moment...</html>"]


def test_redirects_are_followed_but_not_for_ever() -> None:
    async def test(desk: Desk, made: Publisher) -> None:
        made.pages |= {"/a": (301, {"Location": "/b"}, b""), "/b": (200, {}, ONE), "/c": (302, {"Location": "/c"}, b"")}
        made.pages["/d"] = (302, {"Location": "ftp://127.0.0.1/x"}, b"")
        async with poller(desk, made, "a", "c", "d") as polling:
            for feed in polling.feeds.values():
                await polling.ask(feed)
            errors = [polling.feeds[name].error for name in "acd"]
            assert errors[:2] == ["", "it redirects more than 5 times"]
            assert "ftp" in errors[2]
        assert len(made.asked["/c"]) == 6

    assert play(test).bodies("a") == [ONE]


def test_a_redirect_from_https_to_http_is_refused() -> None:
    import httpx

    async def test() -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(301, headers={"Location": "http://desk.example/rss"})

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as asker:
            with pytest.raises(download.Undelivered, match="it redirects from https to http"):
                await download.download(asker, "https://desk.example/rss", {}, 100)

    asyncio.run(test())


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_without_end_is_given_up(packed: bool) -> None:
    async def test(desk: Desk, made: Publisher) -> None:
        body = b"<" * (LARGEST + 1)
        made.pages["/a"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(body)) if packed else (200, {}, body)
        async with poller(desk, made, "a") as polling:
            await polling.ask(polling.feeds["a"])
            assert polling.feeds["a"].error == f"it is larger than {LARGEST} bytes"

    assert play(test).written == []


def test_a_publisher_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "DEADLINE_S", 0.2)

    async def test(desk: Desk, made: Publisher) -> None:
        made.pages["/a"] = (200, {"Content-Length": "100"}, b"never whole")
        made.pages["/b"] = (200, {"Content-Encoding": "gzip"}, b"not gzip")
        gone = NewsFeed(url="http://127.0.0.1:9/rss")
        hang = await asyncio.start_server(lambda r, w: asyncio.sleep(60), "127.0.0.1", 0)
        slow = NewsFeed(url=f"http://127.0.0.1:{hang.sockets[0].getsockname()[1]}/")
        async with poller(desk, made, "a", "b", gone=gone, slow=slow) as polling:
            for feed in polling.feeds.values():
                await polling.ask(feed)
            assert all(feed.failures == 1 and feed.error for feed in polling.feeds.values())
            assert polling.feeds["slow"].error == "no answer within 0 s"
        hang.close()

    assert play(test).written == []


def test_a_token_is_in_no_log_error_status_or_journal(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    caplog.set_level(logging.DEBUG)
    quoted = "s3cr3t%2Fwith%2Bodd%3Dchars"
    body = json.loads(BODIES["panic"][1])
    body["next"] = f"https://cryptopanic.com/api/?auth_token={quoted}&page=2"
    body["previous"] = f"https://cryptopanic.com/api/?auth_token={TOKEN}"
    text = json.dumps(body).encode()

    async def test(desk: Desk, made: Publisher) -> None:
        made.pages |= {"/good": (200, {}, text), "/bad": (200, {}, f"<html>{TOKEN}".encode()), "/no": (403, {}, b"")}
        made.pages["/lost"] = (302, {"Location": f"gopher://{TOKEN}.example/?{quoted}"}, b"")
        feeds = {
            path: NewsFeed(url=f"{made.url}/{path}?auth_token={{token}}&x=1", form="cryptopanic", token_env="MY_TOKEN")
            for path in ("good", "bad", "no", "lost")
        }
        with capture_logs() as logs:
            async with poller(desk, made, **feeds) as polling:
                for feed in polling.feeds.values():
                    await polling.ask(feed)
                told = json.dumps([logs, polling.report(), [f.error for f in polling.feeds.values()]])
        assert made.targets[0] == f"/good?auth_token={quoted}&x=1", "it was asked with the token"
        assert [len(desk.bodies(name)) for name in ("good", "bad")] == [1, 1]
        for place in (told, caplog.text, *(payload.decode() for payload in desk.written)):
            assert "s3cr3t" not in place

    desk = play(test)
    assert json.loads(desk.bodies("good")[0])["next"] == "https://cryptopanic.com/api/?auth_token=***&page=2"


def test_a_token_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRYPTOPANIC_TOKEN", raising=False)
    wanted = Wanted(feeds={"cryptopanic-api": None, "coindesk": None})
    polling = Poller(Desk())
    with pytest.raises(SettingsError) as refused:
        polling.settle(wanted)
    assert refused.value.faults == [
        "news.feeds.cryptopanic-api: the environment variable CRYPTOPANIC_TOKEN is not set; put the token there, or into .env"
    ]
    assert polling.feeds == {}
    (tmp_path / ".env").write_text("CRYPTOPANIC_TOKEN=abc\n")
    polling.settle(wanted)
    assert polling.feeds["cryptopanic-api"].url.endswith("?auth_token=abc&public=true&kind=news")


def test_feeds_that_stay_keep_their_state_when_settings_change() -> None:
    polling = Poller(Desk())
    polling.settle(Wanted(feeds={"coindesk": None, "decrypt": None}))
    kept = polling.feeds["coindesk"]
    polling.settle(Wanted(feeds={"coindesk": None, "decrypt": NewsFeed(url="https://decrypt.example/"), "theblock": None}))
    assert polling.feeds["coindesk"] is kept
    assert polling.feeds["decrypt"].url == "https://decrypt.example/"
    assert list(polling.feeds) == ["coindesk", "decrypt", "theblock"]


def test_by_night_it_asks_less_and_a_day_may_go_over_midnight() -> None:
    feed, wanted = NewsFeed(url="https://a.example/"), Wanted(day_s=60, night_s=900)
    assert [interval(wanted, feed, hour) for hour in (5, 6, 21, 22)] == [900, 60, 60, 900]
    late = wanted.model_copy(update={"day": (20, 4)})
    assert [interval(late, feed, hour) for hour in (3, 4, 19, 20)] == [60, 900, 900, 60]
    assert interval(wanted, feed.model_copy(update={"every_s": 3600.0}), 12) == 3600
    assert [backoff(7200, n, lasting=False) for n in (1, 5)] == [7200, 7200]


def test_one_that_fails_stops_no_other() -> None:
    async def test(desk: Desk, made: Publisher) -> None:
        made.pages |= {"/a": (500, {}, b""), "/b": (200, {}, ONE)}
        desk_poller = Poller(desk)
        desk_poller.settle(Wanted(feeds={name: NewsFeed(url=f"{made.url}/{name}") for name in "ab"}))
        desk_poller.feeds["a"].validators = {"Broken": 7}  # type: ignore[dict-item] # what nobody thought of
        running = asyncio.create_task(desk_poller.run())
        await until(lambda: desk.bodies("b") and desk_poller.feeds["a"].counts["failed"])
        assert desk_poller.feeds["a"].error == "TypeError: Header value must be str or bytes, not <class 'int'>"
        running.cancel()
        await asyncio.wait((running,))

    play(test)


def test_from_socket_to_rows(tmp_path: Path) -> None:
    """A recorder polls two feeds, one of which is broken; its journal, fed to an engine, gives rows of table `news`."""

    async def run() -> Path:
        async with exchange("BTCUSDT") as venue, publisher() as made:
            made.pages |= {"/good": (200, {}, ONE), "/bad": (200, {}, b"<html>")}
            feeds = {name: NewsFeed(url=f"{made.url}/{name}") for name in ("good", "bad", "gone")}
            wanted = settings(tmp_path, venue).model_copy(update={"news": Wanted(feeds=feeds)})
            async with recording(wanted) as recorder:
                await until(lambda: all(f.counts for f in recorder.news.feeds.values()))
                more = wanted.model_copy(update={"news": Wanted(feeds={**feeds, "late": NewsFeed(url=f"{made.url}/good")})})
                await recorder.change(more)
                await until(lambda: recorder.news.feeds["late"].counts)
                await until((tmp_path / "status" / "recorder.json").exists)
                await until(lambda: "late" in (tmp_path / "status" / "recorder.json").read_text())
                shown = registry(Figures(recorder.intake, recorder.stations, recorder.news))
                assert shown.get_sample_value("tapeflow_recorder_news_requests_total", {"feed": "good", "outcome": "ok"}) == 1
                assert shown.get_sample_value("tapeflow_recorder_news_items_total", {"feed": "good"}) == 1
                assert shown.get_sample_value("tapeflow_recorder_news_requests_total", {"feed": "gone", "outcome": "failed"}) == 1
            return wanted.journal_dir

    folder = asyncio.run(run())
    told = json.loads((tmp_path / "status" / "recorder.json").read_text())["news"]
    assert (told["good"]["ok"], told["gone"]["error"], told["bad"]["failing"]) == (1, "HTTP 404", 1)
    assert [e["head"]["feed"] for e in entries(folder, kinds=[Kind.NEWS])][-1] == "late"
    engine = Engine(Kernels(), shard="main")
    out = tapes.gather([t for path in segments(folder) for batch in contents(path) for t in engine.feed(sound(batch)).tables])
    assert [(r["venue"], r["title"]) for r in out["news"].to_pylist()] == [("news-good", "One"), ("news-late", "One")]
    assert [(r["venue"], r["reason"][:13]) for r in out["quarantine"].to_pylist()] == [("news-bad", "it is no XML:")]
