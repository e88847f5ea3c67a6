"""`make soak`: runs the tests marked `soak` and keeps the result, its date and commit in `benchmarks/soak.md`."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "soak.md"
REPORT = ROOT / ".pytest_cache" / "soak.xml"


def main() -> int:
    """Run, write, and return pytest's exit status."""
    options = ["-m", "soak", "--timeout", "3600", f"--junit-xml={REPORT}"]
    status = subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT, check=False).returncode
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    cases = ET.parse(REPORT).iter("testcase")
    lines = [
        "# Soak",
        "",
        "The last run of `make soak`: the many repetitions that `make test` leaves out.",
        "",
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, commit {commit.stdout.strip()}, {os.cpu_count()} cores.",
        "",
        "| test | seconds | result |",
        "|---|--:|---|",
    ]
    for case in cases:
        odd = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        lines.append(f"| {case.get('name')} | {float(case.get('time', 0)):.0f} | {odd[0] if odd else 'passed'} |")
    RESULT.write_text("\n".join(lines) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
