"""What a broker's folder says of its subscriptions: read, or refused in one sentence."""

from pathlib import Path

import pytest

from chassis.inbox.subscriptions import Tuning
from chassis.runtime.settings import EX_CONFIG
from toolchain.runfile import ROOT

GOOD = """kind: SubscriptionTuning
metadata: {queueType: quorum}
bulkSubscribe: {maxMessagesCount: 50, maxAwaitDurationMs: 5}
"""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it holds no mapping"),
        ("- pubsub\n", "it holds no mapping"),
        ("kind: [", "no YAML"),
        ("[" * 5000, "no YAML"),
        (GOOD.replace("SubscriptionTuning", "Subscription"), "needed; kind: Input"),
        ("kind: SubscriptionTuning\n", "bulkSubscribe: Field required"),
        (GOOD.replace("50", "many"), "bulkSubscribe.maxMessagesCount: Input should"),
        (GOOD.replace("50", "0"), "bulkSubscribe.maxMessagesCount: Input should"),
        (GOOD.replace("{queueType: quorum}", "[quorum]"), "metadata: Input should"),
    ],
)
def test_a_wrong_one_is_one_sentence_and_ends_the_process(
    text: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "subscription.yaml"
    file.write_text(text)

    with pytest.raises(SystemExit) as ended:
        Tuning.read(file)

    assert ended.value.code == EX_CONFIG
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("The setting SUBSCRIPTION_FILE is wrong: ")
    assert why in sentence
    assert str(file) in sentence


def test_an_empty_metadata_is_none(tmp_path: Path) -> None:
    file = tmp_path / "subscription.yaml"
    file.write_text(GOOD.replace("{queueType: quorum}", ""))

    assert Tuning.read(file) == Tuning({}, 50, 5)


@pytest.mark.parametrize("file", [*(ROOT / "components").glob("*/subscription.yaml")])
def test_ours_are_read(file: Path) -> None:
    assert Tuning.read(file).most > 0
