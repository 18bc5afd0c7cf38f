"""Delivering: which answers of an app bring an event back."""

from starlette.responses import JSONResponse, Response

from chassis.signature import SigningKeys
from tests.conformance.probe import an_event, status
from tests.conformance.stage import Stage

RETRIED = {
    "RETRY": status("RETRY"),
    "a status in lower case": status("success"),
    "a status that is none": status("DONE"),
    "201 with RETRY": JSONResponse({"status": "RETRY"}, 201),
    "RETRY that is not declared as JSON": Response('{"status": "RETRY"}'),
    "RETRY with more behind it": Response('{"status": "RETRY"} and more'),
    "RETRY under a name in other case": JSONResponse({"Status": "RETRY"}),
    **{
        str(status): Response(status_code=status)
        for status in (301, 304, 400, 401, 403, 409, 410, 422, 429, 500, 503)
    },
}
NOT_RETRIED = {
    "SUCCESS": status("SUCCESS"),
    "an empty 200": Response(),
    "202": Response(status_code=202),
    "204": Response(status_code=204),
    "no JSON": Response("handled, thank you"),
    "JSON that is no object": JSONResponse(["RETRY"]),
    "an object without a status": JSONResponse({"state": "RETRY"}),
    "an empty status": status(""),
    "a status that is no string": JSONResponse({"status": 7}),
    "null": JSONResponse(None),
    # These two are dropped: there is no dead-letter topic.
    "404": JSONResponse({"status": "RETRY"}, 404),
    "DROP": status("DROP"),
}


async def test_an_event_is_delivered_again_after_these_answers_until_it_is_acknowledged(
    dapr: Stage,
) -> None:
    delivered = await _deliveries(dapr, RETRIED)

    assert delivered == dict.fromkeys(RETRIED, 2)


async def test_an_event_is_not_delivered_again_after_these_answers(
    dapr: Stage,
) -> None:
    delivered = await _deliveries(dapr, NOT_RETRIED)

    assert delivered == dict.fromkeys(NOT_RETRIED, 1)


async def test_an_event_is_delivered_again_as_often_as_the_app_asks_for_it(
    dapr: Stage,
) -> None:
    event = an_event()
    dapr.probe.answers[event["id"]].extend(status("RETRY") for _ in range(3))

    await dapr.publish(event)

    await dapr.delivers(event, times=4)
    first, *again = dapr.probe.deliveries[event["id"]]
    assert again == [first] * 3


async def test_a_signature_is_valid_when_the_event_arrives_whatever_daprd_rewrote(
    dapr: Stage,
) -> None:
    """Go escapes and orders JSON otherwise, and daprd adds attributes."""
    data = {
        "names": ["Zo\u00eb \u5c71\u7530 \U0001f389", '<b>&\u2028\\"', "", "\x7f"],
        "numbers": [0, -1, 2**53 - 1, 1 - 2**53],
        "more": {"z": None, "a": [True, False, {}, []]},
    }
    keys = SigningKeys.generate()
    event = an_event(data=data, subject="<&>\u2029 caf\u00e9")
    signature = keys.sign(event)

    await dapr.publish({**event, "signature": signature})

    (arrived,) = await dapr.delivers(event)
    assert keys.verify(arrived)


async def _deliveries(dapr: Stage, answers: dict[str, Response]) -> dict[str, int]:
    """Answer the first delivery of an event each; return how often each was delivered in all."""
    events = {name: an_event() for name in answers}
    for name, answer in answers.items():
        dapr.probe.answers[events[name]["id"]].append(answer)
    await dapr.publish(*events.values())
    await dapr.delivers(*events.values())
    await dapr.has_nothing_left()
    return {name: dapr.count(event) for name, event in events.items()}
