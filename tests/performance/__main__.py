"""Renew the baseline of what an order costs: python -m tests.performance."""

import yaml

from tests.performance.counters import BASELINE, count_all, on_each_database

counted = {name: count_all(folder) for name, folder in on_each_database()}
text = yaml.safe_dump(counted, sort_keys=False, default_flow_style=None, width=120)
BASELINE.write_text(f"# Renew with: .venv/bin/python -m tests.performance\n{text}")
