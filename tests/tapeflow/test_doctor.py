"""`tapeflow doctor --json`: stdout holds the findings and nothing else, also where a venue cannot be reached."""

from __future__ import annotations

import json

import pytest

from tapeflow.cli import main

pytestmark = pytest.mark.usefixtures("place")


@pytest.mark.usefixtures("_logging")
def test_json_of_a_venue_out_of_reach_is_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEFLOW_ENDPOINTS", '{"binance-usdm": "http://127.0.0.1:1"}')  # a port that nothing listens on
    assert main(["doctor", "--seconds", "1", "--json"]) == 1
    found = {(one["about"], one["check"]): one for one in json.loads(capsys.readouterr().out)}
    assert found["binance-usdm", "reached"]["state"] == "fault"
    assert "could not be reached" in found["binance-usdm", "reached"]["found"]
