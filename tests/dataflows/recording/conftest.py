"""What tests of the recorder share."""

from __future__ import annotations

import pytest


@pytest.fixture
def quick_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.recording.sockets.OVERLAP_S", 0.5)


@pytest.fixture
def quick_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what a recorder of the toy venue waits for."""
    monkeypatch.setattr("dataflows.recording.sockets.OVERLAP_S", 0.5)
    monkeypatch.setattr("dataflows.recording.sockets.STAGGER_S", 0.05)
    monkeypatch.setattr("dataflows.recording.overlap.FIRST_LIVE_S", 0.2)
    monkeypatch.setattr("dataflows.recording.overlap.TRY_AGAIN_S", 0.1)
    monkeypatch.setattr("dataflows.recording.repair.TRY_AGAIN_S", 0.1)
    monkeypatch.setattr("dataflows.recording.repair.FIRST_LIVE_S", 0.2)
    monkeypatch.setattr("dataflows.recording.connection.FIRST_DELAY_S", 0.1)
