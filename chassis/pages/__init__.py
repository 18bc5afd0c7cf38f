"""Pages for people: server-rendered, readable without script, live where a browser runs it."""

from chassis.pages.live import ending_streams, watch
from chassis.pages.page import fragment, install, page, see_other
from chassis.pages.router import Form, PageRouter, faults, filled

__all__ = [
    "Form",
    "PageRouter",
    "ending_streams",
    "faults",
    "filled",
    "fragment",
    "install",
    "page",
    "see_other",
    "watch",
]
