"""Sequential loops over the tape, compiled by numba, each carrying an explicit state."""

from __future__ import annotations

from pathlib import Path


def forget_stale(folder: Path, *sources: Path) -> None:
    """Remove what was compiled in `folder` before one of its files, or one of `sources`, last changed.

    numba compiles a kernel anew when its own file changes, but not when one changes that it takes code or constants from.
    """
    newest = max(path.stat().st_mtime_ns for path in (*folder.glob("*.py"), *sources))
    for compiled in folder.glob("__pycache__/*.nbi"):
        if compiled.stat().st_mtime_ns < newest:
            compiled.unlink(missing_ok=True)


_here = Path(__file__).parent
forget_stale(_here, _here.parent / "market.py", _here.parent / "tape.py")
