"""What a page of a feed has and the inbox lacks, or has otherwise: it is taken in as the feed says it."""

import json
import logging
from collections.abc import Sequence
from functools import partial

from pydantic import ValidationError
from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.cloud_event import CloudEvent, digest_of
from chassis.database.hooks import after_commit
from chassis.database.transient import is_away
from chassis.event import Event
from chassis.inbox.dead_letter import in_one_line
from chassis.inbox.inbox import (
    CLAIM,
    AnyReaction,
    Arrival,
    claim,
    differs,
    give_up,
    inbox,
    is_key,
    key,
    react,
)
from chassis.inbox.parse import envelope_of, parse
from chassis.reconciler.page import Listed

_log = logging.getLogger(__name__)


async def lacking(
    session: AsyncSession, reaction: AnyReaction, page: Sequence[Listed]
) -> list[Listed]:
    """Give those events of a page that the inbox has not, or has with another digest."""
    mine = inbox.c.reaction == reaction.name
    here = inbox.c.event_id.in_([each.id for each in page])
    rows = select(inbox.c.event_id, inbox.c.digest).where(mine, here)
    known = {row.event_id: row.digest for row in await session.execute(rows)}
    return [
        each
        for each in page
        if each.id not in known or differs(known[each.id], _digest(each))
    ]


def _digest(listed: Listed) -> bytes:
    if listed.event is None:
        return listed.digest
    try:
        return digest_of(CloudEvent.model_validate(listed.event))
    except ValidationError:
        return b""


async def take_in_all(
    session: AsyncSession, reaction: AnyReaction, events: Sequence[Listed]
) -> list[str]:
    """Take events in as the feed gives them, in order; give the ids of those that the inbox did not have.

    All at once, in few statements: while this transaction is open, deliveries of the same events wait for it,
    and what this service has to say itself cannot be pulled (chassis/feed_bound.py). One by one, where that
    fails: so that one that cannot be taken in takes no other with it.
    """
    bodies = [json.dumps(each.event).encode() for each in events]
    try:
        async with session.begin_nested():
            new = await _act_on_all(session, reaction, bodies)
    except Exception as error:
        if is_away(error):
            raise
        new = [await _take_in(session, reaction, body) for body in bodies]
    return [each.id for each, is_new in zip(events, new, strict=True) if is_new]


async def _act_on_all(
    session: AsyncSession, reaction: AnyReaction, bodies: Sequence[bytes]
) -> list[bool]:
    read = [parse(reaction.event, body) for body in bodies]
    rows = [key(reaction.name, each, Arrival.PULLED) for each, _ in read]
    unseen = set(await session.scalars(CLAIM, rows)) if rows else set()
    new = []
    for envelope, event in read:
        new.append(envelope.id in unseen)
        if new[-1]:
            unseen.remove(envelope.id)  # what is there twice is acted on once
            await reaction.act(event, envelope, session)
    await session.flush()
    for (envelope, event), is_new in zip(read, new, strict=True):
        if not is_new:
            await _hold_against(session, reaction, envelope, event)
    return new


async def _take_in(session: AsyncSession, reaction: AnyReaction, body: bytes) -> bool:
    # One that can never be taken in is kept, and holds up neither the others nor the cursor. A bug holds the
    # cursor while it may go by itself; all events of the page are tried each time, and counted.
    try:
        async with session.begin_nested():
            return await _act(session, reaction, body)
    except Exception as error:
        if is_away(error):
            raise
        await _free_of_another(session, reaction, body)
        await give_up(session, reaction, body, error, from_feed=True)
        return True


async def _free_of_another(
    session: AsyncSession, reaction: AnyReaction, body: bytes
) -> None:
    # The letter of what the feed says is to hold the key: replayed, it puts right what it found there.
    if envelope := envelope_of(body):
        another = _is_of_another(reaction, envelope)
        await session.execute(delete(inbox).where(another))


async def _act(session: AsyncSession, reaction: AnyReaction, body: bytes) -> bool:
    envelope, event = parse(reaction.event, body)
    is_new = await claim(session, reaction.name, envelope, Arrival.PULLED)
    if is_new:
        await _take_its_place(session, reaction, envelope, event)
    else:
        await _hold_against(session, reaction, envelope, event)
    return is_new


async def _take_its_place(
    session: AsyncSession, reaction: AnyReaction, envelope: CloudEvent, event: Event
) -> None:
    try:
        async with session.begin_nested():
            await react(session, reaction.act, envelope, event)
    except IntegrityError:
        if not reaction.correct:
            raise
        await react(session, reaction.correct, envelope, event)
        said = "%s: another had the place of the event %s; what %s says counts"
        named = reaction.name, in_one_line(envelope.id), reaction.event.source
        after_commit(session, partial(_log.error, said, *named))


async def _hold_against(
    session: AsyncSession, reaction: AnyReaction, envelope: CloudEvent, event: Event
) -> None:
    # Held against what was taken in under the same id.
    if await _is_overruled(session, reaction, envelope) and reaction.correct:
        await react(session, reaction.correct, envelope, event)


async def _is_overruled(
    session: AsyncSession, reaction: AnyReaction, envelope: CloudEvent
) -> bool:
    # By its own digest, not by the one that the page gave: another version may reckon otherwise.
    digest = digest_of(envelope)
    overruled = (
        update(inbox)
        .where(_is_of_another(reaction, envelope))
        .values(digest=digest, arrival=Arrival.CORRECTED)
        .returning(inbox.c.event_id)
    )
    if (await session.execute(overruled)).first() is None:
        return False
    said = "%s: what was taken in under the id %s is not what %s says, and is corrected: it was forged"
    named = reaction.name, in_one_line(envelope.id), reaction.event.source
    after_commit(session, partial(_log.error, said, *named))
    return True


def _is_of_another(reaction: AnyReaction, envelope: CloudEvent) -> ColumnElement[bool]:
    another = inbox.c.digest.not_in([digest_of(envelope), b""])
    return and_(is_key(reaction.name, envelope.id), another)
