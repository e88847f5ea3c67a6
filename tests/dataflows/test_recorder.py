"""The recorder as a program: how it ends, and what a crash leaves."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

import pytest

from dataflows.recorder import run
from pipelines.settings import Ports, Settings
from tests.dataflows.fake_exchange import FakeExchange
from tests.dataflows.recording.desk import Written, exchange, settings, until
from tests.ports import free_ports

SCRIPT = """
import sys
from dataflows.recorder import run
from pipelines.settings import Settings
sys.exit(run(Settings.model_validate_json(sys.argv[1])))
"""


def served(data: Path, made: FakeExchange) -> Settings:
    return settings(data, made).model_copy(update={"ports": Ports(metrics=free_ports(1)[0])})


async def start(wanted: Settings) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-c", SCRIPT, wanted.model_dump_json(), stdout=pipe, stderr=pipe)


async def figures(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    told = (await reader.read()).decode()
    writer.close()
    return told


async def end(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 100)
    return process.returncode, out.decode(), err.decode()


def test_it_stops_clean_on_sigterm_refuses_a_second_and_serves_its_figures(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange("BTCUSDT") as made:
            wanted = served(tmp_path, made)
            first = await start(wanted)
            await until(lambda: made.subscribed)
            made.trade("BTCUSDT", 3)
            status, _, err = await end(await start(wanted))
            assert status == 2
            assert err.startswith(f"{wanted.journal_dir}: another recorder (process {first.pid}) writes to this journal")
            async with asyncio.timeout(100):
                while 'tapeflow_recorder_frames_total{venue="demo"} 4.0' not in await figures(wanted.ports.metrics + 1):
                    await asyncio.sleep(0.05)
            first.send_signal(signal.SIGTERM)
            status, out, err = await end(first)
            assert (status, err) == (0, "")
            assert "stopped" in out.splitlines()[-1]
        return wanted

    assert set(Written(asyncio.run(play())).ids()) == {1, 2, 3}


def test_what_reached_the_journal_survives_kill_9_and_the_rest_is_fetched(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange("BTCUSDT") as made:
            wanted = served(tmp_path, made)
            made.feed("BTCUSDT", per_second=200)
            for generation in (1, 2, 3):
                before = len(made.subscribed)
                process = await start(wanted)
                await until(lambda before=before: len(made.subscribed) > before)  # type: ignore[misc]
                seen = len(made.trades["BTCUSDT"])
                await until(lambda seen=seen: max(Written(wanted).ids(), default=0) > seen + 40)  # type: ignore[misc]
                if generation == 3:
                    await until(lambda: _is_whole(Written(wanted)))
                process.send_signal(signal.SIGKILL if generation < 3 else signal.SIGTERM)
                await end(process)
        return wanted

    written = Written(asyncio.run(play()))
    assert written.gaps()[0][:2] == ("gap_open", "restart")
    assert written.gaps()[-1][1] == "repaired"
    assert _is_whole(written)


def _is_whole(written: Written) -> bool:
    ids = set(written.ids())
    return written.gaps()[-1][0] == "gap_close" and ids == set(range(min(ids), max(ids) + 1))


def test_what_cannot_work_is_told_with_exit_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = Settings(data=tmp_path / "file" / "data", endpoints={"binance-usdm": "http://127.0.0.1:9"})
    (tmp_path / "file").write_text("")
    assert run(wanted) == 2
    assert "no journal can be kept there: Not a directory; set `data`" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        wanted = Settings(data=tmp_path, ports=Ports(metrics=port - 1))
        assert run(wanted) == 2
    assert f"ports.metrics: {port - 1} + 1 cannot be served: Address already in use" in capsys.readouterr().err
