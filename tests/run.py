"""`make test`: all tests but those marked `soak`. The faults mostly wait, so they run beside the rest."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FAULTS = "tests/faults"
OK = (0, 5)
"""Exit statuses of pytest: all passed; none was chosen."""


def main() -> int:
    """Run both, print what the faults said behind the rest, and return 1 if anything failed."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-m", "not soak", *sys.argv[1:]]
    with tempfile.TemporaryFile() as said:
        faults = subprocess.Popen([*pytest, FAULTS], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
        try:
            rest = subprocess.run([*pytest, f"--ignore={FAULTS}"], cwd=ROOT, check=False).returncode
            status = faults.wait()
        finally:
            faults.kill()
        said.seek(0)
        sys.stdout.buffer.write(b"tests/faults, which ran beside these:\n" + said.read())
    return int(rest not in OK or status not in OK)


if __name__ == "__main__":
    sys.exit(main())
