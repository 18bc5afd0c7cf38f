"""The feeds' secret is made once by whoever starts first, and one that is none is refused."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chassis.dapr.tokens import shared_secret
from chassis.runtime.settings import EX_CONFIG

ROOT = Path(__file__).parents[2]


def test_the_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "feed.secret"

    secret = shared_secret(file)

    assert len(secret) >= 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert shared_secret(file) == secret
    assert [*file.parent.iterdir()] == [file]


def test_a_secret_that_was_brought_is_used(tmp_path: Path) -> None:
    file = tmp_path / "feed.secret"
    file.write_text("from-elsewhere\n")

    assert shared_secret(file) == "from-elsewhere"


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from chassis.security import shared_secret\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(shared_secret(Path(sys.argv[1])))"
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
    said = {each.communicate(timeout=30)[0] for each in starting}

    assert said == {(tmp_path / "feed.secret").read_text() + "\n"}
    assert [*tmp_path.iterdir()] == [tmp_path / "feed.secret"]


def refused(file: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """See the process end over this file; give the one line that it says."""
    with pytest.raises(SystemExit) as ended:
        shared_secret(file)
    assert ended.value.code == EX_CONFIG
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("The setting FEED_SECRET_FILE is wrong: ")
    assert said.endswith(f" (it is {file}).")
    return str(said)


@pytest.mark.parametrize("content", ["", "\n", "two words", "s\u00e9cret", "a\nb"])
def test_a_secret_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = tmp_path / "feed.secret"
    file.write_text(content, encoding="utf-8")

    said = refused(file, capsys)

    assert "there is no secret in it; remove it, and a new one is made" in said
    assert file.read_text(encoding="utf-8") == content


def test_a_secret_that_cannot_be_read_or_made_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")

    assert "Is a directory" in refused(tmp_path, capsys)
    assert "UnicodeDecodeError" in refused(tmp_path / "bytes", capsys)
    assert "File exists" in refused(tmp_path / "bytes" / "x", capsys)
    # Root, too, may write nowhere in here.
    assert "Error, " in refused(Path("/proc/feed.secret"), capsys)


def test_a_service_ends_with_that_status_and_that_sentence(tmp_path: Path) -> None:
    (tmp_path / "feed.secret").touch()
    server = [sys.executable, "-m", "uvicorn", "--factory", "--port=0"]

    ended = subprocess.run(
        [*server, "services.notification.app:create_app"],
        cwd=ROOT,
        env={"FEED_SECRET_FILE": str(tmp_path / "feed.secret")},
        capture_output=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == EX_CONFIG == 78
    (said,) = ended.stderr.decode().splitlines()
    assert said.startswith("The setting FEED_SECRET_FILE is wrong: there is no secret")
