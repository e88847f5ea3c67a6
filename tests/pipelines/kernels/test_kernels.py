from __future__ import annotations

import os
from pathlib import Path

from pipelines.kernels import forget_stale


def test_a_kernel_is_compiled_anew_when_a_file_it_takes_from_has_changed(tmp_path: Path) -> None:
    cache = tmp_path / "__pycache__"
    cache.mkdir()
    source, constants = tmp_path / "bar.py", tmp_path / "market.py"
    old, new = cache / "old.nbi", cache / "new.nbi"
    for path, seconds in ((source, 10), (old, 20), (constants, 30), (new, 40)):
        path.touch()
        os.utime(path, (seconds, seconds))
    forget_stale(tmp_path, constants)
    assert (old.exists(), new.exists()) == (False, True)
