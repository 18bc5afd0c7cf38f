"""The bill of materials (SBOM, CycloneDX) of an image: what is installed in it, as the image itself answers."""

import json
from typing import Any

from toolchain.containers.engine import Engine

LABEL = "org.opencontainers.image"
ASK = r"""
import glob, importlib.metadata, json, platform, subprocess
release = dict(line.rstrip().split("=", 1) for line in open("/etc/os-release"))
format_ = "${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n"
listed = subprocess.run(["dpkg-query", "-W", f"-f={format_}"], capture_output=True, text=True, check=True).stdout
debian = [line.split("\t")[1:] for line in listed.splitlines() if line.startswith("ii")]
folders = glob.glob("/opt/packages/lib/*/site-packages") + glob.glob("/usr/local/lib/python3*/site-packages")
python = [[it.metadata["Name"], it.version] for it in importlib.metadata.distributions(path=folders)]
print(json.dumps({"release": release["VERSION_ID"].strip('"'), "debian": debian, "python": python,
                  "interpreter": platform.python_version()}))
"""
"""Run by the image's own Python: nothing is installed for it."""


def of_image(engine: Engine, image: str) -> dict[str, Any]:
    """Return the bill of an image: Debian's packages, the interpreter, and Python's packages."""
    held = json.loads(
        engine.docker(
            "run", "--rm", "--network=none", "--entrypoint=python3", image, "-c", ASK
        )
    )
    (about,) = json.loads(engine.docker("inspect", image))
    labels = about["Config"]["Labels"] or {}
    kept = {"image:id": about["Id"], "vcs:revision": labels.get(f"{LABEL}.revision")}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "name": image,
                "version": labels.get(f"{LABEL}.version", "unknown"),
                "properties": [
                    {"name": name, "value": value}
                    for name, value in kept.items()
                    if value
                ],
            }
        },
        "components": _components(held),
    }


def _components(held: dict[str, Any]) -> list[dict[str, Any]]:
    system = f"distro=debian-{held['release']}"
    return [
        {"type": "operating-system", "name": "debian", "version": held["release"]},
        {"type": "application", "name": "python", "version": held["interpreter"]},
        *(
            _library(name, version, f"pkg:deb/debian/{name}", f"?arch={kind}&{system}")
            for name, version, kind in sorted(held["debian"])
        ),
        *(
            _library(name, version, f"pkg:pypi/{name.lower().replace('_', '-')}")
            for name, version in sorted(held["python"])
        ),
    ]


def _library(name: str, version: str, package: str, more: str = "") -> dict[str, Any]:
    """Return a package; in its address a plus sign and a colon are written as numbers."""
    quoted = version.replace("+", "%2B").replace(":", "%3A")
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"{package.replace('+', '%2B')}@{quoted}{more}",
    }
