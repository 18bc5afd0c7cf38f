"""A node of Kubernetes on this machine: containerd, kubelet and the rest, in namespaces of their own.

The kernel ends all of it with the first process of the namespaces: no mount, no network, no rule of the packet
filter is left. What is on the disk is in one folder.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from toolchain.cluster import api_server
from toolchain.cluster.api_server import ACCOUNTS, AUTHORITY, SERVICES, Cluster, process
from toolchain.cluster.programs import CONTROLLERS, KUBELET, POLICIES, PROXY, SCHEDULER
from toolchain.dapr import build
from toolchain.machine import Machine
from toolchain.machine.failure import Failure

NAME, ADDRESS = "node", "10.111.0.1"
PODS, DNS = "10.244.0.0/16", "10.96.0.10"
NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
OWN_FOLDERS = {"/run": "run", "/var/lib": "lib", "/var/log": "log"}
"""What the programs write to by their own choice, and where it lies instead."""
GROUP, HIERARCHIES = "orders-cluster", Path("/sys/fs/cgroup")
PLUGINS = Path("/usr/lib/cni")
"""Where Debian's package containernetworking-plugins puts them."""
PAUSE = "orders-on-dapr/pause:local"
READY_WITHIN, ENDS_WITHIN = "--timeout=120s", 30.0
CONTAINERD = f"""\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/{PAUSE}"
# Where root may not do everything, as in a container, no process becomes less of a victim than this one.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{PLUGINS}"
conf_dir = "/var/lib/network"
"""
NETWORK = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "pods",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ],
}
KUBELET_SETTINGS = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    # Nobody but this node's own programs is in its network.
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "cgroupDriver": "cgroupfs",
    "cgroupRoot": f"/{GROUP}",
    "clusterDNS": [DNS],
    "clusterDomain": "cluster.local",
    "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
    "resolvConf": "/var/lib/resolv.conf",
    # How full this machine's disk is is not the cluster's business, and no image can be had again.
    "evictionHard": {"memory.available": "100Mi"},
    "imageGCHighThresholdPercent": 100,
    "failSwapOn": False,
}


def isolated(command: Sequence[str | Path]) -> list[str | Path]:
    """Return the command line that runs a command as the first process of namespaces of its own."""
    return ["unshare", *NAMESPACES, *command]


@contextmanager
def running(machine: Machine, folder: Path) -> Iterator[Cluster]:
    """Yield a cluster of one node, which keeps all that it has in this folder; call it in an isolated process."""
    _begin(folder)
    with api_server.running(machine, folder, ADDRESS) as cluster, ExitStack() as stack:
        try:
            for name, command in _commands(machine, folder, cluster.config).items():
                stack.enter_context(process(command, folder / f"{name}.log"))
            for state in ("create", "condition=Ready"):
                cluster.do("wait", f"--for={state}", READY_WITHIN, f"node/{NAME}")
            # It looks for its node as it starts, and once.
            command = _policies(machine, cluster.config)
            stack.enter_context(process(command, folder / "policies.log"))
            yield cluster
        finally:
            # All of its namespace but itself: there is nothing that has to end in good order.
            os.kill(-1, signal.SIGKILL)


def bring(images: Path) -> None:
    """Bring images, as `docker save` wrote them, to the node."""
    _do("ctr", "--namespace=k8s.io", "images", "import", str(images))


def end(folder: Path) -> None:
    """Remove what a cluster left on the disk and in the groups of processes, once its processes have ended."""
    deadline = time.monotonic() + ENDS_WITHIN
    while _groups() and time.monotonic() < deadline:
        for group in _groups():
            with suppress(OSError):
                group.rmdir()
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


def _groups() -> list[Path]:
    """Return our groups in each hierarchy, the innermost first."""
    found = (
        Path(path)
        for top in HIERARCHIES.glob(f"*/{GROUP}")
        for path, _, _ in os.walk(top)
    )
    return sorted(found, key=lambda each: len(each.parts), reverse=True)


def _begin(folder: Path) -> None:
    if os.getpid() != 1:
        why = "It is not the first process of namespaces of its own."
        raise Failure("No node can be made here", why, "Start it by `isolated`.")
    for where, name in OWN_FOLDERS.items():
        (folder / name).mkdir(parents=True)
        _do("mount", "--bind", str(folder / name), where)
    _do("mount", "--make-rshared", "/")
    # Of the kernel's devices that have an address, this one is everywhere; its other end is nobody's.
    _do(
        *[
            "ip",
            "link",
            "add",
            "name",
            "outside",
            "type",
            "veth",
            "peer",
            "name",
            "nobody",
        ]
    )
    _do(*f"ip address add {ADDRESS}/24 dev outside".split())
    for device in ("lo", "outside", "nobody"):
        _do("ip", "link", "set", device, "up")
    # An address of a Service needs a route before the packet filter leads it elsewhere.
    _do(*["ip", "route", "add", "default", "dev", "outside"])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    for hierarchy in HIERARCHIES.iterdir():
        (hierarchy / GROUP).mkdir(exist_ok=True)
    _write_settings()


def _write_settings() -> None:
    settings = Path("/var/lib")
    (settings / "network").mkdir()
    (settings / "network" / "pods.conflist").write_text(json.dumps(NETWORK))
    (settings / "containerd.toml").write_text(CONTAINERD)
    (settings / "kubelet.json").write_text(json.dumps(KUBELET_SETTINGS))
    (settings / "resolv.conf").touch()


def _commands(
    machine: Machine, folder: Path, config: Path
) -> dict[str, list[str | Path]]:
    known, authority = f"--kubeconfig={config}", folder / AUTHORITY
    return {
        "containerd": ["containerd", "--config=/var/lib/containerd.toml"],
        "kubelet": [
            build.provide(machine, KUBELET), known,
            "--config=/var/lib/kubelet.json", f"--hostname-override={NAME}", f"--node-ip={ADDRESS}",
        ],
        "controllers": [
            build.provide(machine, CONTROLLERS), known,
            "--leader-elect=false", "--use-service-account-credentials",
            f"--service-account-private-key-file={folder / ACCOUNTS}", f"--root-ca-file={authority}",
        ],
        "scheduler": [build.provide(machine, SCHEDULER), known, "--leader-elect=false"],
        "proxy": [
            build.provide(machine, PROXY), known,
            f"--hostname-override={NAME}", f"--cluster-cidr={PODS}", "--proxy-mode=iptables",
            # Those are the whole machine's.
            "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s",
            "--conntrack-tcp-timeout-close-wait=0s",
        ],
    }  # fmt: skip


def _policies(machine: Machine, config: Path) -> list[str | Path]:
    """Return what enforces network policies, and does nothing else that it can."""
    return [
        build.provide(machine, POLICIES), f"--kubeconfig={config}",
        f"--hostname-override={NAME}", f"--service-cluster-ip-range={SERVICES}",
        "--run-router=false", "--run-service-proxy=false", "--run-loadbalancer=false",
    ]  # fmt: skip


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        what, remedy = f"{' '.join(command)} failed", "Run it as root on Linux."
        raise Failure(what, done.stderr.strip(), remedy)
