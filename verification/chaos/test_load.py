"""A customer orders until an order's id is the answer; what else was answered is counted by its kind."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import httpx
from fastapi import FastAPI, Request, Response

from toolchain.runfile import free_port
from verification.chaos.books import Books, plain
from verification.chaos.load import Load

ORDER = str(uuid4())
ACCEPTED = Response(f'{{"orderId":"{ORDER}"}}', 201)


@dataclass
class Shop:
    """Returns these answers, one after the other, and records the keys of the requests."""

    answers: Iterator[Response]
    keys: list[str] = field(default_factory=list)

    def client(self) -> httpx.AsyncClient:
        """Open a connection to it; every other address is the machine's."""
        app = FastAPI()

        @app.post("/api/order")
        async def answer(request: Request) -> Response:
            self.keys.append(request.headers["idempotency-key"])
            return next(self.answers)

        mounts = {"all://shop": httpx.ASGITransport(app)}
        return httpx.AsyncClient(mounts=mounts, trust_env=False)


async def _ordered(*answers: Response, email: str | None = None) -> tuple[Load, Shop]:
    shop = Shop(iter(answers))
    load = Load(["http://shop"], Books(), 1, 0.0)
    async with shop.client() as http:
        assert await load.order(http, "Jane Doe", email) == ORDER
    return load, shop


async def test_every_kind_of_trouble_is_counted_and_the_key_stays_the_same() -> None:
    half = Response('{"orderId":"01a', 201)

    load, shop = await _ordered(Response("", 503), Response("", 201), half, ACCEPTED)

    assert load.trouble == {"503": 1, "201 without an order": 2}
    assert len(shop.keys) == 4
    assert len({*shop.keys}) == 1


async def test_each_order_has_a_key_of_its_own() -> None:
    (_, one), (_, other) = await _ordered(ACCEPTED), await _ordered(ACCEPTED)

    assert one.keys != other.keys


async def test_what_was_accepted_is_in_the_books_with_how_its_customer_is_notified() -> (
    None
):
    load, _ = await _ordered(ACCEPTED, email="jane@example.org")

    assert isinstance(load.books, Books)
    written = load.books.rows("SELECT * FROM accepted")
    assert written == [(plain(ORDER), "jane@example.org")]


async def test_a_customer_who_is_not_answered_by_one_sidecar_tries_the_next() -> None:
    shop = Shop(iter([ACCEPTED]))
    load = Load([f"http://127.0.0.1:{free_port()}", "http://shop"], Books(), 1, 0.0)
    async with shop.client() as http:
        await load.order(http, "Jane Doe")

    assert load.trouble == {"ConnectError": 1}
    assert load.placed == 1
