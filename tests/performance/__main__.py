"""Renew the baseline of what an order costs: python -m tests.performance."""

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from tests.performance.counters import BASELINE, count_all, on
from tests.support import postgresql

with TemporaryDirectory() as folder, postgresql.databases() as databases:
    counted = {}
    for database in ("sqlite", "postgresql"):
        place = Path(folder) / database
        place.mkdir()
        with on(database, databases), redirect_stdout(StringIO()):
            counted[database] = count_all(place)
text = yaml.safe_dump(counted, sort_keys=False, default_flow_style=None, width=120)
BASELINE.write_text(f"# Renew with: .venv/bin/python -m tests.performance\n{text}")
