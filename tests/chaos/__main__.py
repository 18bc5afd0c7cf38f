"""Runs the real system under faults: python -m tests.chaos --faults 30 --orders 5000 --seed 1."""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from tests.chaos import plan
from tests.chaos.plan import Setting
from tests.chaos.run import Report, run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=6)
    parser.add_argument("--orders", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    brokers = ("rabbitmq", "redis", "kafka")
    parser.add_argument("--broker", choices=brokers, default="rabbitmq")
    databases = ("sqlite", "postgresql")
    parser.add_argument("--database", choices=databases, default="sqlite")
    ways = ("smtp", "api")
    parser.add_argument("--mail", choices=ways, default="smtp")
    mails = "every so many orders one with an e-mail address; 0 for none"
    parser.add_argument("--mail-every", type=int, default=20, help=mails)
    parser.add_argument("--json", type=Path, help="write the report to this file too")
    return parser.parse_args()


def _show(report: Report) -> None:
    print(report.ledger.table())  # noqa: T201 - a program for the terminal
    slowest = max((each["recovered"] for each in report.journal.entries), default=0)
    never = sum(each["recovered"] < 0 for each in report.journal.entries)
    rows = {
        "faults": len(report.journal.entries),
        "requests tried again": report.retried,
        "slowest recovery, s": slowest,
        "no recovery in time": never,
        "the run, s": round(report.seconds),
    }
    for name, value in rows.items():
        print(f"  {name:<30}{value}")  # noqa: T201
    for name in ("lost", "twice"):
        for order, why in getattr(report.ledger, name).items():
            print(f"  {name}: {order} {why}")  # noqa: T201


def _as_json(report: Report) -> str:
    whole = {
        "ledger": report.ledger.as_json(),
        "journal": report.journal.entries,
        "retried": report.retried,
        "seconds": report.seconds,
    }
    return json.dumps(whole, indent=2)


def main() -> int:
    """Run as the command line says; 1 where something was lost, sent twice or is stuck."""
    # `kill` ends it as Ctrl-C does: every part is stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked = _arguments()
    setting = Setting(asked.broker, asked.database, asked.mail)
    faults = plan.make(asked.seed, asked.faults, setting)
    report = asyncio.run(run(faults, asked.orders, setting, asked.mail_every))
    _show(report)
    if asked.json:
        asked.json.write_text(_as_json(report))
    return 0 if report.ledger.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
