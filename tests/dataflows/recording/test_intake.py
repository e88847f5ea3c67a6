"""What the intake records by itself."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from dataflows.recording.intake import Intake, Owner
from pipelines.store.journal_writer import Writer


def test_after_it_was_held_up_no_heartbeat_runs_ahead_of_what_came_meanwhile(tmp_path: Path) -> None:
    now = [100.0]
    with Writer(tmp_path) as writer:
        intake = Intake(writer, lambda: 1, cast("Owner", None), clock=lambda: now[0])
        beats = []
        for step in (0.0, 0.25, 0.9, 30.0, 0.25, 1.0, 0.5, 0.5, 0.25):
            now[0] += step
            intake.beat()
            beats.append(len(intake.incoming))
    assert beats == [1, 2, 3, 3, 3, 3, 3, 4, 5]
