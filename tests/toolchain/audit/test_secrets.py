"""No secret was ever committed."""

from pathlib import Path
from subprocess import CalledProcessError

import pytest

from toolchain.audit import secrets

ROOT = Path(__file__).parents[3]
# In pieces, or this file would be found.
SAMPLES = {
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "AWS key": "AKIA" + "IOSFODNN7EXAMPLE",
    "GitHub token": "ghp_" + "a1" * 18,
    "GitLab token": "glpat-" + "a1" * 10,
    "Slack token": "xoxb-" + "1234567890",
    "Stripe key": "sk_live_" + "a1" * 12,
    "Google key": "AIza" + "a" * 35,
    "package index token": "pypi-" + "a1" * 30,
    "signed token": "eyJ"
    + "hbGciOiJIUzI1NiJ9"
    + ".eyJ"
    + "zdWIiOiJqYW5lIn0x"
    + ".abcdefghijklmnop",
    "password in a URL": "postgresql://orders:" + "a1b2c3d4e5f6a7b8" + "@db/orders",
}


def test_no_commit_has_a_secret() -> None:
    assert [*secrets.in_history(ROOT)] == []


def test_where_there_is_no_history_nobody_says_that_nothing_is_in_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(CalledProcessError):
        [*secrets.in_history(tmp_path)]


def test_there_is_a_sample_of_each_kind() -> None:
    assert [*SAMPLES] == [*secrets.KINDS]


@pytest.mark.parametrize("kind", SAMPLES)
def test_each_kind_of_secret_is_found_with_its_commit_and_file(kind: str) -> None:
    patch = ["commit abc123\n", "+++ b/a.py\n", f"+x = '{SAMPLES[kind]}'\n"]

    (found,) = secrets.in_patches(patch)

    assert found == f"abc123 a.py: {kind}"
    assert SAMPLES[kind] not in found


@pytest.mark.parametrize(
    "line",
    [
        "+postgresql://user:password@host/name",
        "+    --hash=sha256:0123456789abcdef",
        "-gone = 'AKIA" + "IOSFODNN7EXAMPLE'",
        " context",
    ],
)
def test_what_is_none_is_not_found(line: str) -> None:
    assert [*secrets.in_patches(["commit a\n", "+++ b/x\n", line])] == []
