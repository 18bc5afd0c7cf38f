"""Delivering: which answers of an app bring an event back."""

from starlette.responses import JSONResponse, Response

from chassis.cloud_event import CloudEvent, digest_of
from tests.conformance.probe import an_event, saying
from tests.conformance.stage import Stage

RETRIED = {
    "RETRY": saying("RETRY"),
    "a status in lower case": saying("success"),
    "a status that is none": saying("DONE"),
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
    "SUCCESS": saying("SUCCESS"),
    "an empty 200": Response(),
    "202": Response(status_code=202),
    "204": Response(status_code=204),
    "no JSON": Response("taken in, thank you"),
    "JSON that is no object": JSONResponse(["RETRY"]),
    "an object without a status": JSONResponse({"state": "RETRY"}),
    "an empty status": saying(""),
    "a status that is no string": JSONResponse({"status": 7}),
    "null": JSONResponse(None),
    # These two are dropped: there is no dead-letter topic.
    "404": JSONResponse({"status": "RETRY"}, 404),
    "DROP": saying("DROP"),
}


async def test_an_event_is_delivered_again_after_these_answers_until_it_is_taken_in(
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
    dapr.probe.answers[event["id"]].extend(saying("RETRY") for _ in range(3))

    await dapr.publish(event)

    await dapr.delivers(event, times=4)
    first, *again = dapr.probe.deliveries[event["id"]]
    assert again == [first] * 3


async def test_what_an_event_says_is_the_same_to_the_last_bit_when_it_arrives(
    dapr: Stage,
) -> None:
    """By its digest the inbox tells a true event from a forged one."""
    said = {
        "names": ["Zo\u00eb \u5c71\u7530 \U0001f389", '<b>&\u2028\\"', ""],
        "numbers": [0, -1, 1.5, 0.1, 1e-7, 2**53],
        "more": {"z": None, "a": [True, False, {}, []]},
    }
    event = an_event(data=said, subject="<&>\u2029 caf\u00e9")

    await dapr.publish(event)

    (arrived,) = await dapr.delivers(event)
    sent, came = (CloudEvent.model_validate(each) for each in (event, arrived))
    assert digest_of(came) == digest_of(sent)


async def _deliveries(dapr: Stage, answers: dict[str, Response]) -> dict[str, int]:
    """Answer the first delivery of an event each; tell how often each was delivered in all."""
    events = {name: an_event() for name in answers}
    for name, answer in answers.items():
        dapr.probe.answers[events[name]["id"]].append(answer)
    await dapr.publish(*events.values())
    await dapr.delivers(*events.values())
    await dapr.has_nothing_left()
    return {name: dapr.count(event) for name, event in events.items()}
