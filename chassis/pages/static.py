"""What pages load, from the service itself: a style sheet, scripts, an icon; a browser keeps them."""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import Response
from starlette.exceptions import HTTPException

from chassis.http import OPEN, Router

FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
"""Nothing else in the folder is served."""

router = Router(tags=["Pages"], scope=OPEN, in_schema=False)


@cache
def load(name: str) -> bytes:
    """Return a file; it never changes while the service runs."""
    return (FOLDER / name).read_bytes()


@cache
def asset(name: str) -> str:
    """Return a file's address, relative to the first page: with other content it is another one."""
    return f"static/{hashlib.sha256(load(name)).hexdigest()[:16]}/{name}"


@cache
def _served() -> dict[str, str]:
    names = (each.name for each in FOLDER.iterdir() if each.suffix in TYPES)
    return {asset(name): name for name in names}


@router.get("/static/{digest}/{name}")
async def get_static(digest: str, name: str) -> Response:
    """Return a file of this version of the pages."""
    if f"static/{digest}/{name}" not in _served():
        raise HTTPException(404)
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(load(name), 200, headers, TYPES[Path(name).suffix])
