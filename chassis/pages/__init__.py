"""Pages for people: server-rendered, readable without script, live where a browser runs it."""

from chassis.pages.live import Live, watch
from chassis.pages.page import fragment, install, page, see_other
from chassis.pages.router import Form, PageRouter, faults, filled

__all__ = [
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
