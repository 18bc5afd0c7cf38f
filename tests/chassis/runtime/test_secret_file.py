"""Secrets in files: created once by whichever service starts first; one that cannot be used ends the process."""

import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.dapr.tokens import load_feed_secret
from chassis.keys import load_signing_keys
from chassis.runtime.settings import EX_CONFIG

ROOT = Path(__file__).parents[3]
Load = Callable[[Path], object]
LOADERS = [load_feed_secret, load_signing_keys]
A_KEY = "2026:a-key-of-at-least-16-characters"


@pytest.mark.parametrize("load", LOADERS)
def test_a_secret_is_created_once_and_for_its_owner_alone(
    tmp_path: Path, load: Load
) -> None:
    file = tmp_path / "a" / "b" / "secret"

    created = load(file)

    assert len(file.read_text()) >= 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load(file) == created
    assert [*file.parent.iterdir()] == [file]


def test_no_two_secrets_are_the_same(tmp_path: Path) -> None:
    secrets = [load_feed_secret(tmp_path / f"{n}.secret") for n in range(5)]
    keys = [str(load_signing_keys(tmp_path / f"{n}.keys").keys) for n in range(5)]

    assert len({*secrets, *keys}) == 10


def test_a_secret_from_elsewhere_is_used(tmp_path: Path) -> None:
    file = tmp_path / "feed.secret"
    file.write_text("from-elsewhere\n")

    assert load_feed_secret(file) == "from-elsewhere"


def test_signing_keys_from_elsewhere_are_used_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "order.keys"
    file.write_text(f"\n  {A_KEY}\n\n2025:another-key-of-that-length\n")

    assert [*load_signing_keys(file).keys] == ["2026", "2025"]


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from chassis.dapr.tokens import load_feed_secret\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(load_feed_secret(Path(sys.argv[1])))"
    )
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / "feed.secret"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for each in starting:
        assert each.stdout
        assert each.stdout.readline() == "ready\n"

    for each in starting:
        assert each.stdin
        each.stdin.write("\n")
        each.stdin.flush()
    printed = {each.communicate(timeout=30)[0] for each in starting}

    assert printed == {(tmp_path / "feed.secret").read_text() + "\n"}
    assert [*tmp_path.iterdir()] == [tmp_path / "feed.secret"]


def refused(load: Load, file: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which this file ends the process."""
    with pytest.raises(SystemExit) as ended:
        load(file)
    assert ended.value.code == EX_CONFIG
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("The setting SECRETS_FOLDER is wrong: ")
    assert line.endswith(f" (it is {file}).")
    return str(line)


@pytest.mark.parametrize("content", ["", "\n", "two words", "s\u00e9cret", "a\nb"])
def test_a_text_that_is_no_secret_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = tmp_path / "feed.secret"
    file.write_text(content, encoding="utf-8")

    line = refused(load_feed_secret, file, capsys)

    assert "there is no secret in it; remove it, and a new one is created" in line
    assert file.read_text(encoding="utf-8") == content


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "no-colon-in-this-text-of-16-characters",
        "k:too-short",
        ":no-id-before-these-16-characters",
        "UPPER:case-ids-are-refused-here",
        "a.b:an-id-must-not-contain-the-separator",
        "k:two words make no signing key",
        "k:s\u00e9cret-s\u00e9cret-s\u00e9cret",
        f"{A_KEY}\nk:too-short",
    ],
)
def test_a_text_that_is_no_list_of_keys_is_refused_without_showing_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = tmp_path / "order.keys"
    file.write_text(content, encoding="utf-8")

    line = refused(load_signing_keys, file, capsys)

    assert "each line must be id:secret, with a secret of 16 characters" in line
    assert A_KEY not in line


@pytest.mark.parametrize("load", LOADERS)
def test_a_file_that_cannot_be_read_or_created_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], load: Load
) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")

    assert "Is a directory" in refused(load, tmp_path, capsys)
    assert "can't decode byte" in refused(load, tmp_path / "bytes", capsys)
    assert "File exists" in refused(load, tmp_path / "bytes" / "x", capsys)
    # Root, too, may write nowhere in here.
    assert "Error, " in refused(load, Path("/proc/secret"), capsys)


def test_the_representation_of_keys_shows_none(tmp_path: Path) -> None:
    file = tmp_path / "order.keys"
    file.write_text(A_KEY)

    assert "characters" not in repr(load_signing_keys(file))


@pytest.mark.parametrize("name", ["feed.secret", "notification.keys"])
def test_a_service_ends_with_status_78_and_one_sentence(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).touch()
    server = [sys.executable, "-m", "uvicorn", "--factory", "--port=0"]

    ended = subprocess.run(
        [*server, "services.notification.app:create_app"],
        cwd=ROOT,
        env={
            "SECRETS_FOLDER": str(tmp_path),
            "DATABASE_URL": f"sqlite:///{tmp_path}/x.db",
        },
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == EX_CONFIG == 78
    (line,) = ended.stderr.decode().splitlines()
    assert line.startswith("The setting SECRETS_FOLDER is wrong: ")
    assert name in line
