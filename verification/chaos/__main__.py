"""Runs the real system under faults: python -m verification.chaos --faults 30 --orders 5000 --seed 1."""

import argparse
import asyncio
import shlex
import signal
import sys
from dataclasses import replace

from toolchain.machine import faketime, this_machine
from verification.chaos import disks, plan, tables
from verification.chaos.plan import Setting
from verification.chaos.run import run

INTERRUPTED = 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="verification.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=6)
    parser.add_argument("--orders", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    brokers = ("rabbitmq", "redis", "kafka")
    parser.add_argument("--broker", choices=brokers, default="rabbitmq")
    databases = ("sqlite", "postgresql")
    parser.add_argument("--database", choices=databases, default="sqlite")
    parser.add_argument("--mail", choices=("smtp", "api"), default="smtp")
    replicas = "processes of each service; more than one on PostgreSQL only"
    parser.add_argument("--replicas", type=int, default=1, help=replicas)
    mails = "every so many orders one with an e-mail address; 0 for none"
    parser.add_argument("--mail-every", type=int, default=20, help=mails)
    parser.add_argument("--clients", type=int, default=8)
    still = "seconds for which a part is held still (SIGSTOP)"
    parser.add_argument("--still", type=float, default=60, help=still)
    only = (
        'faults of this kind, on this part, or both: "clock back", order, "kill order"'
    )
    parser.add_argument("--only", action="append", default=[], help=only)
    ordinary = (
        "run the ordinary program under the same faults too, and show it beside ours"
    )
    parser.add_argument("--ordinary", action="store_true", help=ordinary)
    secure = (
        "with tokens, mTLS and access control; sentry and the issuer have faults too"
    )
    parser.add_argument("--secure", action="store_true", help=secure)
    return _checked(parser)


def _checked(parser: argparse.ArgumentParser) -> argparse.Namespace:
    options = parser.parse_args()
    if options.secure and options.ordinary:
        parser.error("the ordinary program has no access control: --secure is of ours")
    if options.replicas > 1 and options.database != "postgresql":
        parser.error("SQLite is one process's: --replicas needs --database postgresql")
    return options


def _setting(options: argparse.Namespace) -> Setting:
    clocks = faketime.library(this_machine()) is not None
    mounts = options.database == "sqlite" and disks.can_be_mounted()
    if not clocks:
        sys.stderr.write("  no clock is set: libfaketime is not installed\n")
    if options.database == "sqlite" and not mounts:
        sys.stderr.write("  no disk is filled: a small one cannot be mounted here\n")
    return Setting(
        options.broker,
        options.database,
        options.mail,
        options.replicas,
        still=options.still,
        clocks=clocks,
        disks=mounts,
        secure=options.secure,
    )


def main() -> int:
    """Run as the command line asks; return 1 where something was lost, sent twice or is stuck."""
    # `kill` ends it as Ctrl-C does: every part is stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options, reports = _arguments(), []
    setting = _setting(options)
    faults = plan.make(options.seed, options.faults, setting, options.only)
    for each in [setting, *[replace(setting, ordinary=True)] * options.ordinary]:
        if options.ordinary:
            sys.stderr.write(
                f"  {'the ordinary program' if each.ordinary else 'ours'}\n"
            )
        # The ordinary program tells every customer on the console.
        mail_every = 0 if each.ordinary else options.mail_every
        ran = run(faults, options.orders, each, mail_every, options.clients)
        try:
            reports.append(asyncio.run(ran))
        except KeyboardInterrupt:
            return INTERRUPTED
    again = f"python -m verification.chaos {shlex.join(sys.argv[1:])}".rstrip()
    print(f"\n{tables.table(reports)}\n  again: {again}")
    return 0 if reports[0].is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
