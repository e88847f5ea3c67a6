"""`make test`: all tests but those marked `soak`, in three processes: what waits for sockets leaves a core to the rest."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BESIDE = (("tests/faults", "tests/deploy"), ("tests/archive", "tests/assets", "tests/dataflows", "tests/playback"))
"""What runs beside the rest, each group in a process of its own."""
OK = (0, 5)
"""Exit statuses of pytest: all passed; none was chosen."""


def main() -> int:
    """Run them, print what each group said behind the rest, and return 1 if anything failed."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-m", "not soak", *sys.argv[1:]]
    ignored = [f"--ignore={folder}" for group in BESIDE for folder in group]
    said = [tempfile.TemporaryFile() for _ in BESIDE]  # noqa: SIM115 - as many as there are groups
    beside = [
        subprocess.Popen([*pytest, *group], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        for group, out in zip(BESIDE, said, strict=True)
    ]
    try:
        status = [subprocess.run([*pytest, *ignored], cwd=ROOT, check=False).returncode, *(one.wait() for one in beside)]
    finally:
        for one in beside:
            one.kill()
    for group, out in zip(BESIDE, said, strict=True):
        out.seek(0)
        sys.stdout.buffer.write(f"{', '.join(group)}, beside these:\n".encode() + out.read())
        out.close()
    return int(any(one not in OK for one in status))


if __name__ == "__main__":
    sys.exit(main())
