"""Posting to a mail API: what a caller is answered in each case that can happen to a mail with a key.

daprd 1.18.2 is asked with `errorIfNot2XX: "false"`. Then it answers 200 whatever the API answered, with the
API's status in the header `metadata.statuscode` and the API's text as its body. It answers 500 and
ERR_INVOKE_OUTPUT_BINDING where there was no answer, after "error invoking output binding email: ":

| what happens | daprd's message | accepted |
| --- | --- | --- |
| no server | Post "http://127.0.0.1:8025/emails": dial tcp ...: connect: connection refused | no |
| a host that does not exist | Post "...": dial tcp: lookup mail.invalid on ...: no such host | no |
| the connection is lost before the answer | Post "...": EOF | unknown |
| the connection is lost in the answer's body | unexpected EOF | unknown |
| no answer within `responseTimeout` | Post "...": context deadline exceeded | unknown |
| no such binding | couldn't find output binding email | no |
| the binding is one of SMTP | binding email does not support operation post. supported ... | no |

On a connection that was used before, daprd repeats by itself a request with an Idempotency-Key whose
connection is lost, and follows 301, 302 and 303 with a GET. The last two tests show it.
"""

from collections.abc import AsyncIterator

import pytest

from chassis.dapr.bindings import BindingRefused, OutcomeUnknown
from services.notification import smtp
from tests.conformance.posting import (
    PostingStage,
    a_key,
    real_posting,
    simulated_posting,
)
from tests.conformance.sending import a_recipient
from tests.conformance.stage import EMAIL, Stage
from tests.support.mail_api import (
    LOST_ANSWER,
    LOST_REQUEST,
    NEVER_ANSWERED,
    Deed,
    Posted,
)
from tests.support.simulated_dapr import LARGEST

REFUSED_PERMANENTLY = [400, 406, 410, 413, 415, 422, 451]
REFUSED_TRANSIENTLY = [401, 402, 403, 404, 405, 407, 425, 429]
UNKNOWN = [304, 408, 409, 500, 502, 503, 504]


@pytest.fixture(scope="package")
async def real_posting_stage(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[PostingStage]:
    """Run daprd with a mail API, once for the suite."""
    async with real_posting(tmp_path_factory.mktemp("posting")) as stage:
        yield stage


@pytest.fixture
async def simulated_posting_stage() -> AsyncIterator[PostingStage]:
    """Make a simulated sidecar with a mail API."""
    async with simulated_posting() as stage:
        yield stage


@pytest.fixture(
    params=["simulated", pytest.param("daprd", marks=pytest.mark.system)],
    name="posting",
)
def either(request: pytest.FixtureRequest) -> PostingStage:
    """Return the stage of the one kind and then of the other."""
    kind = "real_posting" if request.param == "daprd" else "simulated_posting"
    stage: PostingStage = request.getfixturevalue(f"{kind}_stage")
    return stage


async def test_a_mail_is_posted_once_with_its_key(posting: PostingStage) -> None:
    to, key = a_recipient(), a_key()
    text = 'Zo\u00eb \u5c71\u7530 <b>&amp;</b> "quoted" \\ back\n.\n\u2028'

    await posting.post(to, key, text)

    posted = Posted("shop@example.org", to, "An order", text)
    assert posting.api.to(to) == [posted]
    assert posting.api.tries(to) == 1
    assert posting.api.headers[-1]["idempotency-key"] == key
    assert posting.wire.answers[-1][0] == 200


async def test_its_kind_is_listed(posting: PostingStage) -> None:
    assert await posting.kind() == "bindings.http"


async def test_what_is_posted_again_with_its_key_is_accepted_once(
    posting: PostingStage,
) -> None:
    to, key = a_recipient(), a_key()

    await posting.post(to, key)
    await posting.post(to, key)

    assert (len(posting.api.to(to)), posting.api.tries(to)) == (1, 2)


@pytest.mark.parametrize("status", [201, 202, 204])
async def test_every_2xx_means_accepted(posting: PostingStage, status: int) -> None:
    to = a_recipient()
    posting.api.deeds[to] = Deed(status, takes=True)

    await posting.post(to, a_key())

    assert len(posting.api.to(to)) == 1


@pytest.mark.parametrize("status", REFUSED_PERMANENTLY + REFUSED_TRANSIENTLY)
async def test_a_mail_that_is_refused_has_not_been_accepted(
    posting: PostingStage, status: int
) -> None:
    to = a_recipient()
    posting.api.deeds[to] = Deed(status)

    with pytest.raises(BindingRefused) as refused:
        await posting.post(to, a_key())

    assert refused.value.reason == f'{status} {{"message": "said with {status}"}}'
    assert refused.value.permanent is (status in REFUSED_PERMANENTLY)
    assert refused.value.concerns_message is refused.value.permanent
    assert posting.api.to(to) == []


@pytest.mark.parametrize("taken", [0, 1])
@pytest.mark.parametrize("status", UNKNOWN)
async def test_the_outcome_of_a_mail_is_unknown_after_such_an_answer(
    posting: PostingStage, status: int, taken: int
) -> None:
    to = a_recipient()
    posting.api.deeds[to] = Deed(status, takes=bool(taken))

    with pytest.raises(OutcomeUnknown, match=rf"^{status}\b") as unknown:
        await posting.post(to, a_key())

    assert not unknown.value.pending
    assert len(posting.api.to(to)) == taken


@pytest.mark.parametrize(
    ("deed", "says", "pending"),
    [
        pytest.param(LOST_ANSWER, "EOF", False, id="accepted, and the answer is lost"),
        pytest.param(LOST_REQUEST, "EOF", False, id="lost before it is accepted"),
        pytest.param(
            NEVER_ANSWERED, "TimeoutError", True, id="accepted, never answered"
        ),
    ],
)
async def test_the_outcome_of_a_mail_is_unknown_without_an_answer(
    posting: PostingStage,
    deed: Deed,
    says: str,
    pending: object,
) -> None:
    to, key = a_recipient(), a_key()
    posting.api.deeds[to] = deed
    with pytest.raises(OutcomeUnknown, match=says) as unknown:
        await posting.post(to, key)
    assert unknown.value.pending is pending
    assert posting.api.asked.count(key) == 1
    del posting.api.deeds[to]

    await posting.post(to, key)

    assert len(posting.api.to(to)) == 1
    assert posting.api.asked.count(key) == 2


async def test_without_its_server_no_mail_is_accepted_until_it_is_back(
    posting: PostingStage,
) -> None:
    to, key = a_recipient(), a_key()

    async with posting.api_stopped():
        with pytest.raises(BindingRefused, match="connection refused") as refused:
            await posting.post(to, key)

    assert not refused.value.permanent
    assert posting.api.to(to) == []
    await posting.post(to, key)
    assert len(posting.api.to(to)) == 1


async def test_a_mail_beyond_4_mib_is_refused_permanently(
    posting: PostingStage,
) -> None:
    with pytest.raises(BindingRefused, match="stream too large") as refused:
        await posting.post(a_recipient(), a_key(), "a" * LARGEST)

    assert refused.value.permanent


async def test_a_mail_for_a_mail_server_does_not_count_as_sent_by_an_api(
    posting: PostingStage,
) -> None:
    """The sidecar has another component than a moment ago."""
    to = a_recipient()

    with pytest.raises(OutcomeUnknown, match="received status code 400"):
        await smtp.send(posting.sidecar, EMAIL, "<p>Hello</p>", {"emailTo": to})

    assert posting.api.to(to) == []


async def test_a_mail_for_an_api_is_refused_by_a_mail_server(dapr: Stage) -> None:
    to = a_recipient()

    with pytest.raises(BindingRefused, match="does not support operation") as refused:
        await dapr.other.post(EMAIL, {"to": to}, {"Idempotency-Key": a_key()})

    assert not refused.value.permanent
    assert dapr.mailbox.to(to) == []


@pytest.mark.system
async def test_a_file_that_is_replaced_is_another_component_while_daprd_runs(
    real_posting_stage: PostingStage,
) -> None:
    """And so the sidecar is asked before each mail."""
    to = a_recipient()
    await real_posting_stage.swap("smtp")
    with pytest.raises(BindingRefused, match="does not support operation"):
        await real_posting_stage.post(to, a_key())

    await real_posting_stage.swap("api")

    await real_posting_stage.post(to, a_key())
    assert len(real_posting_stage.api.to(to)) == 1


@pytest.mark.system
async def test_a_mail_api_gets_the_credentials_of_the_component(
    real_posting_stage: PostingStage,
) -> None:
    await real_posting_stage.post(a_recipient(), a_key())

    headers = real_posting_stage.api.headers[-1]
    assert headers["authorization"] == "Bearer hush-hush"
    assert headers["connection"] == "close"


@pytest.mark.system
async def test_daprd_follows_a_post_that_was_moved_with_a_get_whose_200_counts(
    real_posting_stage: PostingStage,
) -> None:
    """And so the component must name the address itself; the simulated one raises NotImplementedError."""
    to = a_recipient()
    real_posting_stage.api.deeds[to] = Deed(301, location="/elsewhere")

    await real_posting_stage.post(to, a_key())

    assert real_posting_stage.api.to(to) == []


@pytest.mark.system
async def test_daprd_repeats_by_itself_a_request_on_a_connection_used_before(
    real_posting_stage: PostingStage,
) -> None:
    """And so no connection is used twice; the simulated one raises NotImplementedError."""
    api, key, to = real_posting_stage.api, a_key(), a_recipient()
    keeping = {"Connection": "keep-alive", "Idempotency-Key": key}
    mail = {"from": "shop@example.org", "to": to, "subject": "An order", "html": "x"}
    await real_posting_stage.sidecar.post(EMAIL, mail, keeping)
    api.deeds[to] = LOST_ANSWER

    with pytest.raises(OutcomeUnknown, match="EOF"):
        await real_posting_stage.sidecar.post(EMAIL, mail, keeping)

    assert api.asked.count(key) == 3
