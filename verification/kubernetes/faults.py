"""What is done to the cluster while customers order."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from toolchain.cluster.node import NAME
from toolchain.machine.failure import Failure
from verification.kubernetes.system import SERVICES, System

OURS = "app.kubernetes.io/name in (order, notification)"
AT_ONCE = ("--grace-period=0", "--force")
DRAINS_FOR = "30s"
STAYING = "{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}"
Fault = Callable[[System], None]


def kill_pod(system: System, service: str) -> None:
    """Delete a pod without a word to its processes before."""
    pod = system.names("pods", "orders", f"app.kubernetes.io/name={service}")[0]
    system.cluster.do("delete", pod, "--namespace=orders", *AT_ONCE)


def kill_process(words: str, _system: System) -> None:
    """Kill the first process of the cluster whose command line has these words."""
    for entry in sorted(Path("/proc").glob("[0-9]*")):
        said = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        if words in said:
            os.kill(int(entry.name), signal.SIGKILL)
            return
    why = f"No process has {words!r} in its command line."
    raise Failure("There is nothing to kill", why, "See the pods' logs.")


def kill_broker(system: System) -> None:
    """Kill the broker, and then its pod: what it kept on its volume is all that is left."""
    kill_process("beam.smp", system)
    # Not at once: two brokers on one volume would be another fault.
    system.cluster.do("delete", "pod/rabbitmq-0", "--namespace=servers", "--grace-period=1")  # fmt: skip


def drain(system: System) -> None:
    """Drain the node twice: where it is the only one, the budgets let one pod of each service go at a time."""
    for _ in range(2):
        before = _staying(system)
        system.cluster.run(
            "drain", NAME, "--ignore-daemonsets", "--delete-emptydir-data",
            f"--pod-selector={OURS}", f"--timeout={DRAINS_FOR}"
        )  # fmt: skip
        left = before & _staying(system)
        system.cluster.do("uncordon", NAME)
        if {each.partition("-")[0] for each in left} != {*SERVICES} or len(left) != 2:
            why = f"Of {sorted(before)} these stayed: {sorted(left)}."
            raise Failure("The disruption budgets do not hold", why, "See the events.")
        system.is_rolled_out("orders")


def _staying(system: System) -> set[str]:
    """Return the pods of both services that nobody has told to end."""
    question = ("get", "pods", "--namespace=orders", f"--selector={OURS}")
    return {*system.cluster.do(*question, f"--output=go-template={STAYING}").split()}


def roll(system: System) -> None:
    """Replace every pod of both services, as a release does."""
    for service in SERVICES:
        system.cluster.do("rollout", "restart", f"deployment/{service}", "--namespace=orders")  # fmt: skip
    system.is_rolled_out("orders")


def kill_dapr(system: System) -> None:
    """Delete every pod of Dapr's control plane, and one of ours, which then needs it."""
    system.cluster.do("delete", "pods", "--all", "--namespace=dapr-system", *AT_ONCE)
    kill_pod(system, "order")


FAULTS: dict[str, Fault] = {
    **{f"a pod of {each} is deleted": partial(kill_pod, service=each) for each in SERVICES},
    **{f"{each} is killed": partial(kill_process, f"services.{each}.app") for each in SERVICES},
    **{f"the sidecar of {each} is killed": partial(kill_process, f"--app-id {each}") for each in SERVICES},
    "the node is drained, twice": drain,
    "the broker is killed, with its pod": kill_broker,
    "the database is killed": partial(kill_process, "/bin/postgres -D"),
    "Dapr's control plane is deleted, and a pod of order": kill_dapr,
    "all pods are replaced": roll,
}  # fmt: skip
