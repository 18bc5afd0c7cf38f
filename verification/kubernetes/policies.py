"""What the network policies let through, asked from inside pods."""

from dataclasses import dataclass

from tests.support.eventually import within
from toolchain.machine.failure import Failure
from verification.kubernetes.system import System

PATIENCE, STARTS_WITHIN = 3, 60.0
CONNECT = (
    "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), {})"
)
OTHERS = {
    "rabbitmq": "servers",
    "postgresql": "servers",
    "stranger": "servers",
    "reader": "monitoring",
}
"""The namespaces of pods that are not in `orders`."""
ASKED = {
    # The apps' and the sidecars' own ports are open to nobody; the sidecars' among each other are.
    ("stranger", "rabbitmq"): {5672: True},
    ("stranger", "order"): {8001: False, 50002: False, 9464: False},
    ("gateway", "order"): {8001: False, 50002: True},
    ("notification", "order"): {8001: False, 50002: True, 9464: False},
    # Prometheus reads measures, and nothing else.
    ("reader", "order"): {9464: True, 9474: True, 8001: False, 50002: False},
    # A service reaches its servers, and of them what it needs.
    ("order", "rabbitmq"): {5672: True, 4369: False},
    ("order", "postgresql"): {5432: True},
    ("order", "stranger"): {8000: False},
}
"""Of each pair of pods: by which ports the first must reach the second, and by which not."""


@dataclass(frozen=True)
class _Pod:
    name: str
    namespace: str
    address: str


def ask(system: System) -> int:
    """Return how many connections were tried; raises Failure where one is not as the policies say."""
    pods = {each: _find(system, each) for pair in ASKED for each in pair}
    wrong = [
        f"{source} {'does not reach' if expected else 'reaches'} {target}:{port}"
        for (source, target), ports in ASKED.items()
        for port, expected in ports.items()
        if not _holds(system, pods[source], pods[target], port, expected=expected)
    ]
    if wrong:
        raise Failure("The network policies do not hold", "\n".join(wrong), "See them.")
    return sum(map(len, ASKED.values()))


def _find(system: System, name: str) -> _Pod:
    namespace = OTHERS.get(name, "orders")
    # Of several replicas, one.
    found = system.cluster.do(
        "get", "pods", f"--namespace={namespace}", f"--selector=app.kubernetes.io/name={name}",
        "--output=jsonpath={.items[0].metadata.name} {.items[0].status.podIP}",
    )  # fmt: skip
    pod, address = found.split()
    return _Pod(pod, namespace, address)


def _holds(
    system: System, source: _Pod, target: _Pod, port: int, *, expected: bool
) -> bool:
    """Return whether it is so; what is to be reached may still be starting."""
    if not expected:
        return not _reaches(system, source, target, port)
    try:
        within(STARTS_WITHIN, lambda: _reaches(system, source, target, port), "reached")
    except AssertionError:
        return False
    return True


def _reaches(system: System, source: _Pod, target: _Pod, port: int) -> bool:
    connect = ("python3", "-c", CONNECT.format(PATIENCE), target.address, str(port))
    asked = system.cluster.run(
        "exec", source.name, f"--namespace={source.namespace}", "--", *connect
    )
    return not asked.returncode
