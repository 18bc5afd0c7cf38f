"""An API server of Kubernetes on this machine: it admits objects as a cluster does, and runs none of them."""

import json
import secrets
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from toolchain.cluster.programs import API_SERVER, ETCD, KUBECTL
from toolchain.dapr import build
from toolchain.machine import Machine
from toolchain.machine.failure import Failure
from toolchain.machine.processes import tail
from toolchain.runfile import free_port

READY_WITHIN, STOPS_WITHIN = 120.0, 30.0
SERVICES = "10.96.0.0/16"
ACCOUNTS, AUTHORITY = "accounts.key", "certificates/apiserver.crt"
"""In its folder: what signs the tokens of service accounts, and what its own certificate is verified by."""


@dataclass(frozen=True)
class Cluster:
    """An API server that answers, and how to reach it."""

    kubectl: Path
    config: Path

    def run(
        self, *arguments: str, given: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run kubectl, with this text as its input."""
        return subprocess.run(
            [self.kubectl, f"--kubeconfig={self.config}", *arguments],
            capture_output=True,
            check=False,
            input=given,
            text=True,
        )

    def do(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl and return what it prints, warnings too; raises Failure where it fails."""
        done = self.run(*arguments, given=given)
        if done.returncode:
            command = f"kubectl {' '.join(arguments[:2])} failed"
            raise Failure(command, done.stderr.strip(), "Look at what it says.")
        return done.stdout + done.stderr


@contextmanager
def running(
    machine: Machine, folder: Path, address: str = "127.0.0.1"
) -> Iterator[Cluster]:
    """Yield a new API server at this address, which keeps all that it has in this folder."""
    client, peer, port = (free_port() for _ in range(3))
    store = f"http://127.0.0.1:{client}"
    etcd: list[str | Path] = [
        build.provide(machine, ETCD),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={store}",
        f"--advertise-client-urls={store}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        # It lives as long as this machine is up.
        "--unsafe-no-fsync",
    ]
    token = secrets.token_hex()
    server: list[str | Path] = [
        build.provide(machine, API_SERVER),
        *_flags(folder, store, token),
        f"--secure-port={port}",
        f"--bind-address={address}",
    ]
    with ExitStack() as stack:
        stack.enter_context(process(etcd, folder / "etcd.log"))
        api = stack.enter_context(process(server, folder / "api-server.log"))
        here = f"https://{address}:{port}"
        _wait(api, f"{here}/readyz", folder / "api-server.log")
        config = _kubeconfig(folder, here, token)
        yield Cluster(build.provide(machine, KUBECTL), config)


def _flags(folder: Path, store: str, token: str) -> list[str]:
    key, tokens = folder / ACCOUNTS, folder / "tokens.csv"
    _write_secret(key, _private_key())
    _write_secret(tokens, f"{token},admin,admin,system:masters\n")
    return [
        f"--etcd-servers={store}",
        f"--cert-dir={(folder / AUTHORITY).parent}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        # A node's name is in no DNS here.
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--service-cluster-ip-range={SERVICES}",
    ]


def _private_key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem.decode()


def _write_secret(file: Path, text: str) -> None:
    file.touch(0o600)
    file.write_text(text)


def _kubeconfig(folder: Path, url: str, token: str) -> Path:
    server: dict[str, Any] = {
        "server": url,
        "certificate-authority": str(folder / AUTHORITY),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": server}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
    }
    file = folder / "kubeconfig"
    _write_secret(file, json.dumps(content))
    return file


@contextmanager
def process(
    command: Sequence[str | Path], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program beside the others, and end it."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failure("The API server does not start", tail(log), "Look at why.")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    # Its certificate is made while it starts: whether it is there is all that is asked.
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=5, context=anyone):
            return True
    except (OSError, urllib.error.URLError):
        return False
