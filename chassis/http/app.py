"""An app with the manners of every API here: problem documents, its own description, a page that shows it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from operator import attrgetter

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from chassis import errors
from chassis.http import openapi
from chassis.http.request_guard import HeadAsGet, RequestGuard

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

DESCRIPTION = (
    "Through Dapr, each path has `/v1.0/invoke/{name}/method` before it. Whatever is wrong with a request is "
    "answered with a problem document (RFC 9457) that names it."
)


def create_api(name: str, lifespan: Lifespan | None = None) -> FastAPI:
    """Return an app without routes of its own; /docs shows its API, and needs no network."""
    app = FastAPIOffline(
        title=f"{name.capitalize()} service",
        description=DESCRIPTION.format(name=name),
        generate_unique_id_function=attrgetter("name"),
        lifespan=lifespan,
        redoc_url=None,
        # Swagger UI would send the description to its makers' validator.
        swagger_ui_parameters={"validatorUrl": None},
    )
    app.add_middleware(RequestGuard)
    app.add_middleware(HeadAsGet)
    errors.install(app)
    openapi.install(app)
    return app
