"""Pages for people: server-rendered, readable without script, live where a browser runs it."""

from chassis.pages.live import Live, watch
from chassis.pages.page import fragment, install, page, see_other
from chassis.pages.router import Form, PageRouter, faults, filled
from chassis.pages.sign_in import router as _sign_in
from chassis.pages.static import router as _static

ROUTERS = (_static, _sign_in)
"""What the pages of every service have."""

__all__ = [
    "ROUTERS",
    "Form",
    "Live",
    "PageRouter",
    "faults",
    "filled",
    "fragment",
    "install",
    "page",
    "see_other",
    "watch",
]
