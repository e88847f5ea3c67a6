"""`python -m tapeflow`."""

from __future__ import annotations

import sys

from tapeflow.cli import main

sys.exit(main())
