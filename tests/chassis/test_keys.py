"""Keys of producers: each verifies its own producer alone, and is renewed while services run."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from chassis.keys import Keyring, main
from chassis.runtime.secret_file import replace
from chassis.signature import SigningKeys, new_line, public_line
from tests.support.delivering import order_created

Event = dict[str, Any]


def event_of(producer: str, keys: Keyring | SigningKeys) -> Event:
    """Return an event that names this producer, signed by these keys."""
    event = {**order_created(), "source": f"/{producer}"}
    return {**event, "signature": keys.sign(event)}


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace monotonic time by the sum of the returned list."""
    seconds = [0.0]
    monkeypatch.setattr("chassis.keys.monotonic", lambda: sum(seconds))
    return seconds


def read_again(seconds: list[float]) -> None:
    """Pass the time after which files are looked at again."""
    seconds.append(2.0)


def test_each_producer_has_keys_of_its_own(tmp_path: Path) -> None:
    order, notification = (
        Keyring(tmp_path, each) for each in ("order", "notification")
    )

    assert {each.name for each in tmp_path.iterdir()} == {
        "order.keys",
        "notification.keys",
    }
    for one, other in ((order, notification), (notification, order)):
        for producer in ("order", "notification"):
            event = event_of(producer, one)
            assert other.verify(event) is one.verify(event)
            assert other.verify(event) is ((producer == "order") is (one is order))


@pytest.mark.parametrize("asymmetric", [False, True], ids=["HMAC", "Ed25519"])
def test_the_key_of_one_producer_verifies_no_event_that_names_another(
    tmp_path: Path, *, asymmetric: bool
) -> None:
    for producer in ("order", "notification"):
        (tmp_path / f"{producer}.keys").write_text(new_line(asymmetric=asymmetric))
    order, notification = (
        Keyring(tmp_path, each) for each in ("order", "notification")
    )

    assert notification.verify(event_of("order", order))
    assert not order.verify(event_of("order", notification))
    assert not order.verify(event_of("notification", order))


def test_a_consumer_with_the_public_half_verifies_and_cannot_sign(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    producer, consumer = tmp_path / "producer", tmp_path / "consumer"
    for each in (producer, consumer):
        each.mkdir()
    assert main(["add", str(producer / "order.keys"), "--ed25519"]) == 0
    capsys.readouterr()
    assert main(["public", str(producer / "order.keys")]) == 0
    (consumer / "order.keys").write_text(capsys.readouterr().out)

    event = event_of("order", Keyring(producer, "order"))

    assert event["signature"].startswith("2.")
    assert Keyring(consumer, "notification").verify(event)
    held = SigningKeys.parse((consumer / "order.keys").read_text())
    with pytest.raises(TypeError, match="public one"):
        held.sign(event)
    with pytest.raises(SystemExit):
        Keyring(consumer, "order")


@pytest.mark.parametrize(
    "alter",
    [
        lambda event: {**event, "data": {**event["data"], "customerName": "X"}},
        lambda event: {**event, "id": "another"},
        lambda event: {**event, "signature": event["signature"][:-2] + "AA"},
        lambda event: {**event, "signature": event["signature"] + "="},
        lambda event: {**event, "signature": event["signature"] + "\n"},
        lambda event: {**event, "signature": "1" + event["signature"][1:]},
        lambda event: {**event, "signature": "3" + event["signature"][1:]},
        lambda event: {**event, "signature": "2.x." + "A" * 86},
        lambda event: {**event, "signature": "2." + event["signature"].split(".")[1]},
        lambda event: {**event, "signature": event["signature"].replace("2.", "2.é")},
    ],
    ids=[
        *("data", "id", "bits", "padding", "line", "HMAC", "unknown version"),
        *("unknown key", "no signature", "not ASCII"),
    ],
)
def test_an_altered_event_is_not_verified_by_an_asymmetric_key(alter: Any) -> None:  # noqa: ANN401 - one of ten
    keys = SigningKeys.parse(new_line(asymmetric=True))
    event = event_of("order", keys)

    assert keys.verify(json.loads(json.dumps(event)))
    assert not keys.verify(alter(event))


def test_a_public_key_is_no_secret_of_an_hmac() -> None:
    """Who knows the public half, as every consumer does, must not sign with it as if it were a secret."""
    private = new_line(asymmetric=True)
    public = public_line(private)
    as_secret = SigningKeys(dict.fromkeys(SigningKeys.parse(public).keys, b"x" * 16))
    key_id, _, text = public.partition(":")
    for secret in (text.encode(), text.rpartition(":")[2].encode()):
        forger = SigningKeys({key_id: secret})
        assert not SigningKeys.parse(public).verify(event_of("order", forger))
        assert not SigningKeys.parse(private).verify(event_of("order", as_secret))


@pytest.mark.parametrize(
    "source",
    ["", "/", "/../order", "/order/", "//order", "/ORDER", "/order.keys"],
    ids=ascii,
)
def test_no_other_source_leads_to_a_file_of_keys(tmp_path: Path, source: str) -> None:
    keys = Keyring(tmp_path, "order")
    event = {**order_created(), "source": source}

    assert not keys.verify({**event, "signature": keys.sign(event)})
    assert {each.name for each in tmp_path.iterdir()} == {"order.keys"}


def test_a_key_is_renewed_without_a_start(tmp_path: Path, later: list[float]) -> None:
    file = str(tmp_path / "order.keys")
    producer, replica = (Keyring(tmp_path, "order") for _ in range(2))
    consumer = Keyring(tmp_path, "notification")
    by_the_old = event_of("order", producer)
    assert consumer.verify(by_the_old)

    assert main(["add", file]) == 0
    old, new = SigningKeys.parse(Path(file).read_text()).keys
    read_again(later)
    assert event_of("order", producer)["signature"].split(".")[1] == old

    assert main(["use", file, new]) == 0
    read_again(later)
    by_the_new = [event_of("order", signer) for signer in (producer, replica)]
    assert {each["signature"].split(".")[1] for each in by_the_new} == {new}
    assert all(consumer.verify(each) for each in (by_the_old, *by_the_new))

    assert main(["drop", file, old]) == 0
    read_again(later)
    assert consumer.verify(by_the_new[0])
    assert not consumer.verify(by_the_old)


@pytest.mark.parametrize("text", [None, "", "nonsense"], ids=["no file", "empty", "x"])
def test_a_file_that_cannot_be_used_any_more_changes_nothing(
    tmp_path: Path,
    later: list[float],
    caplog: pytest.LogCaptureFixture,
    text: str | None,
) -> None:
    keys, file = Keyring(tmp_path, "order"), tmp_path / "order.keys"
    before = file.read_text()
    file.unlink() if text is None else replace(file, text)

    for _ in range(3):
        read_again(later)
        assert keys.verify(event_of("order", keys))

    (said,) = [each.getMessage() for each in caplog.records]
    assert said.startswith("order.keys cannot be used, and its keys stay as they were")
    assert before.strip().partition(":")[2] not in said


def test_a_producer_that_starts_later_is_verified(tmp_path: Path) -> None:
    consumer = Keyring(tmp_path, "notification")
    stranger = event_of("order", SigningKeys.generate())
    assert not consumer.verify(stranger)

    event = event_of("order", Keyring(tmp_path, "order"))

    assert consumer.verify(event)
    assert not consumer.verify(stranger)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["use", "none"], "there is no key none"),
        (["drop", "none"], "there is no key none"),
        (["drop", "old"], "old signs: use another key first"),
        (["public"], "old is an HMAC key: whoever verifies with it can sign"),
    ],
)
def test_a_command_that_is_wrong_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    file = tmp_path / "order.keys"
    file.write_text("old:an-old-key-of-30-characters\n")

    assert main([arguments[0], str(file), *arguments[1:]]) == 65

    assert said in capsys.readouterr().err
    assert file.read_text() == "old:an-old-key-of-30-characters\n"


def test_the_command_keeps_a_file_for_its_owner_alone_and_shows_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "order.keys"

    for _ in range(2):
        assert main(["add", str(file), "--ed25519"]) == 0

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [file]
    shown = capsys.readouterr().out
    for line in file.read_text().splitlines():
        assert line.split(":")[0] in shown
        assert line.split(":")[2] not in shown
