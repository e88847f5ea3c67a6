"""Set-up compiles what the engine will call; run in a process of its own, where no other test has compiled anything."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SCRIPT = """
import json, sys
from numba.core.dispatcher import Dispatcher
from pipelines import precompile
from pipelines.records import Kind
from tests import tapes

def compiled():
    modules = [m for name, m in sys.modules.items() if name.startswith("pipelines.")]
    kernels = {k.py_func: k for m in modules for k in vars(m).values() if isinstance(k, Dispatcher)}
    return {f.__name__: len(k.signatures) for f, k in kernels.items() if not k.targetoptions.get("inline")}

precompile.main()
before = compiled()
kernels = tapes.KERNELS.model_copy(update={"bars": (*tapes.KERNELS.bars, "run:tick:9", "imbalance:dollar:ewma:9")})
tapes.run(tapes.signals(kernels, complete=True), tapes.rows(7, 3000, span_us=2 * 86_400_000_000, instruments=3), cuts=[10, 1000])
rows = tapes.rows(8, 500)
lines = [
    (int(r["ts"]) * 1000 + 5_000_000, Kind.FRAME,
     tapes.agg_trade("AAAUSDT", 1000 + k, int(r["ts"]) // 1000, f"{r['price']:.2f}", f"{r['size']:.3f}"))
    for k, r in enumerate(rows)
]
quote = b'{"e":"bookTicker","u":1,"s":"AAAUSDT","b":"99","B":"1","a":"101","A":"2","T":1700006401000,"E":1700006401000}'
lines.append((lines[-1][0], Kind.FRAME, quote))
tapes.feed(tapes.journal_engine(), [*lines, (lines[-1][0] + 10**10, Kind.HEARTBEAT, b"")], cuts=[1, 8, 300])
print(json.dumps([before, compiled()]))
"""


def _signatures() -> tuple[dict[str, int], dict[str, int]]:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before: dict[str, Any]
    before, after = json.loads(done.stdout)
    return before, after


def test_every_kernel_is_compiled_for_the_types_the_engine_calls_it_with() -> None:
    before, after = _signatures()
    assert {name for name, n in before.items() if n} > {
        "screen",
        "admit",
        "windows",
        "big_trades",
        "_scan",
        "wide_spreads",
        "silences",
        "delays",
        "cascades",
    }
    assert after == before
