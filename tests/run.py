"""`make test`: all tests but those marked `soak`, in two processes at once, for two cores."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BESIDE = ("tests/faults", "tests/deploy", "tests/assets")
"""They take as long as all others, the faults mostly waiting."""
OK = (0, 5)
"""Exit statuses of pytest: all passed; none was chosen."""


def main() -> int:
    """Run both, print what the one said behind the other, and return 1 if anything failed."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-m", "not soak", *sys.argv[1:]]
    with tempfile.TemporaryFile() as said:
        beside = subprocess.Popen([*pytest, *BESIDE], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
        try:
            rest = subprocess.run([*pytest, *(f"--ignore={folder}" for folder in BESIDE)], cwd=ROOT, check=False).returncode
            status = beside.wait()
        finally:
            beside.kill()
        said.seek(0)
        sys.stdout.buffer.write(f"{', '.join(BESIDE)}, which ran beside these:\n".encode() + said.read())
    return int(rest not in OK or status not in OK)


if __name__ == "__main__":
    sys.exit(main())
