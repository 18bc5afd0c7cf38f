"""The alert rules of the repository, and which of them fire at a Prometheus."""

import json
import urllib.request
from typing import Any

import yaml

from toolchain.runfile import ROOT

FOLDER = ROOT / "observability"


def alerts() -> dict[str, dict[str, Any]]:
    """Return the alert rules of the repository, by name."""
    files = [yaml.safe_load(each.read_text()) for each in FOLDER.glob("rules/*.yaml")]
    groups = [group for file in files for group in file["groups"]]
    found = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return {rule["alert"]: rule for rule in found}


def seconds(written: str) -> float:
    """Return a duration as Prometheus writes it ("2m30s") in seconds."""
    total, number = 0.0, ""
    for each in written:
        if each.isdecimal():
            number += each
        else:
            total += int(number) * {"s": 1, "m": 60, "h": 3600}[each]
            number = ""
    return total


def firing(port: int) -> set[str]:
    """Return the names of the alerts that fire now."""
    url = f"http://127.0.0.1:{port}/api/v1/alerts"
    with urllib.request.urlopen(url, timeout=10) as answer:
        listed = json.load(answer)["data"]["alerts"]
    return {each["labels"]["alertname"] for each in listed if each["state"] == "firing"}
