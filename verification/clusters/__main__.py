"""Runs the system on clusters under faults: python -m verification.clusters --faults 45 --orders 20000."""

import argparse
import asyncio
import shlex
import signal
import sys

from verification.chaos import plan, tables
from verification.chaos.plan import Setting
from verification.chaos.run import run
from verification.clusters.stage import running

INTERRUPTED = 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="verification.clusters", description=__doc__)
    parser.add_argument("--faults", type=int, default=12)
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--broker", choices=("rabbitmq", "kafka"), default="rabbitmq")
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--clients", type=int, default=8)
    mails = "every so many orders one with an e-mail address; 0 for none"
    parser.add_argument("--mail-every", type=int, default=20, help=mails)
    still = "seconds for which a part is held still (SIGSTOP)"
    parser.add_argument("--still", type=float, default=20, help=still)
    only = 'faults of this kind, on this part, or both: partition, primary, "fail over"'
    parser.add_argument("--only", action="append", default=[], help=only)
    late = "answer a commit that the standby does not have yet: a failover loses some"
    parser.add_argument("--asynchronous", action="store_true", help=late)
    return parser.parse_args()


def main() -> int:
    """Run as the command line asks; return 1 where something was lost, sent twice or is stuck."""
    # `kill` ends it as Ctrl-C does: every part is stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _arguments()
    setting = Setting(
        options.broker,
        "postgresql",
        replicas=options.replicas,
        longest=20.0,
        still=options.still,
        clusters=True,
        synchronous=not options.asynchronous,
    )
    faults = plan.make(options.seed, options.faults, setting, options.only)
    mails, clients = options.mail_every, options.clients
    ran = run(faults, options.orders, setting, mails, clients, opens=running)
    try:
        report = asyncio.run(ran)
    except KeyboardInterrupt:
        return INTERRUPTED
    again = f"python -m verification.clusters {shlex.join(sys.argv[1:])}".rstrip()
    print(f"\n{tables.table([report])}\n  again: {again}")
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
