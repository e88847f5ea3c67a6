"""What tests of the recorder share."""

from __future__ import annotations

import pytest


@pytest.fixture
def quick_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.recording.sockets.OVERLAP_S", 0.5)
