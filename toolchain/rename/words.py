"""How a name is replaced wherever it stands: as a word, in code, in paths, with its article and its plural.

What is sorted is in an order too: those phrases stay.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

PLURALS = ((r"(?:s|x|z|ch|sh)$", "es"), (r"(?<=[^aeiou])y$", "ies"))
SORTED = re.compile(
    r"order[_ ]by|sort_order|reorder\w*|in_order|keeps_order|(?:key|sort|time) order"
    r"|in (?:good|one|any|another|any other|their|its|this|reverse|the same|the right) order\b"
    r"|(?:out of|has no|has an|in an) order(?= (?:here|in which|that)|[.,;:]|$)"
    r"|\bin order\b(?!\]|-|\.\w)|stays? in its order|the order (?:of|in which)\b"
    r"|order of (?:keys|events|time|code)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Names:
    """The names of a project, in this repository or in the new one."""

    project: str
    order: str
    notification: str
    event: str


OURS = Names("orders-on-dapr", "order", "notification", "OrderCreated")
Rule = Callable[[str], str]


def plural(word: str) -> str:
    """Return a word's plural: parties, boxes, bookings."""
    for pattern, ending in PLURALS:
        if re.search(pattern, word):
            return (word[:-1] if ending == "ies" else word) + ending
    return f"{word}s"


def snake(event: str) -> str:
    """Return how an event's name is written in the name of a file or a function: order_created."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", event).lower()


def renamed(text: str, new: Names, old: Names = OURS) -> str:
    """Return a text with the new names in place of the old ones."""
    parts = re.split(f"({SORTED.pattern})", text, flags=re.IGNORECASE)
    rules = [*_rules(new, old)]

    def changed(part: str) -> str:
        for rule in rules:
            part = rule(part)
        return part

    # Every second part is a phrase that stays.
    return "".join(each if n % 2 else changed(each) for n, each in enumerate(parts))


def _rules(new: Names, old: Names) -> Iterator[Rule]:
    yield _exactly(_title(old.project), _title(new.project))
    yield _exactly(old.project, new.project)
    yield _exactly(old.project.replace("-", "_"), new.project.replace("-", "_"))
    for before, after in ((old.event, new.event), (snake(old.event), snake(new.event))):
        yield _exactly(before, after)
    yield _exactly(snake(old.event).replace("_", "-"), snake(new.event).replace("_", "-"))  # fmt: skip
    for before, after in ((old.order, new.order), (old.notification, new.notification)):
        yield from _word(before, after)


def _title(project: str) -> str:
    """Return a project's name as a heading: Orders on Dapr."""
    words = project.replace("-", " ").replace("dapr", "Dapr")
    return words[:1].upper() + words[1:]


def _exactly(before: str, after: str) -> Rule:
    return lambda text: text.replace(before, after)


def _word(before: str, after: str) -> Iterator[Rule]:
    """Yield the replacements of a word: in small letters, with a capital, in capitals; one and many."""
    yield _article(before, after)
    for old, new in ((plural(before), plural(after)), (before, after)):
        # After the escape of a colour, and in the anchor of a heading that is one word in capitals, too.
        small = re.compile(rf"(?:(?<![A-Za-z])|(?<=\dm)){old}(?![a-z])|(?<=\.md#){old}")  # fmt: skip
        capital = re.compile(rf"(?<![A-Z]){old.capitalize()}(?![a-z])|(?<=%2F){old.capitalize()}")  # fmt: skip
        shouted = re.compile(rf"(?<![A-Z]){old.upper()}(?![A-Z])")
        yield _by(small, new)
        yield _by(capital, new.capitalize())
        yield _by(shouted, new.upper())


def _by(pattern: re.Pattern[str], after: str) -> Rule:
    return lambda text: pattern.sub(after, text)


def _article(before: str, after: str) -> Rule:
    """Return what gives the new word the right article: an order, a booking."""
    pattern = re.compile(
        rf"(?<![A-Za-z])(an?)([ _-]){before}(?!s?[a-rt-z])", re.IGNORECASE
    )
    needs_an = after[0] in "aeiou"

    def fitting(found: re.Match[str]) -> str:
        article = "an" if needs_an else "a"
        first = article.capitalize() if found[1][0] == "A" else article
        return first + found[0][len(found[1]) :]

    return lambda text: pattern.sub(fitting, text)
