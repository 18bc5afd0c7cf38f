"""How mails look in the browser: two pages, their style, and the script that keeps the list fresh."""

from collections.abc import Sequence
from html import escape

from toolchain.mail.mailbox import Mail

STYLE = """
:root { color-scheme: light dark;
  --paper: #fbfaf8; --card: #fff; --ink: #1d1b18; --faint: #6a645c; --line: #e4dfd8; --accent: #0b5c8a; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #16181b; --card: #1e2125; --ink: #ece9e4; --faint: #a29c94; --line: #33373c; --accent: #86c5ee; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 56rem;
  background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
a { color: var(--accent); }
a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
header { margin-bottom: 1.25rem; }
h1 { margin: 0; font-size: 1.4rem; line-height: 1.3; overflow-wrap: anywhere; }
header p, .empty p { margin: .25rem 0 0; color: var(--faint); }
ol { margin: 0; padding: 0; list-style: none; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; overflow: hidden; }
li + li { border-top: 1px solid var(--line); }
li a { display: grid; grid-template-columns: 1fr auto; gap: .1rem 1rem; padding: .7rem 1rem; color: inherit;
  text-decoration: none; }
li a:hover { background: color-mix(in srgb, var(--accent) 8%, transparent); }
li a:focus-visible { outline-offset: -3px; }
li bdi { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.subject { font-weight: 600; }
.people { grid-column: 1 / -1; color: var(--faint); font-size: .9rem; }
time { color: var(--faint); font-size: .9rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
@media (max-width: 32rem) { .subject { grid-column: 1 / -1; white-space: normal; overflow-wrap: anywhere;
    display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; }
  .people { grid-column: 1; order: 1; } li time { order: 2; } }
dd time { color: inherit; font-size: inherit; }
.back { display: inline-block; margin-bottom: .75rem; text-decoration: none; }
.empty { padding: 3rem 1rem; text-align: center; border: 1px dashed var(--line); border-radius: 10px; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .15rem 1rem; margin: 1rem 0; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 1rem 0 .6rem; }
nav a { padding: .3rem 0; text-decoration: none; border-bottom: 2px solid transparent; }
nav a[aria-current] { color: inherit; border-color: var(--accent); font-weight: 600; }
iframe, pre { display: block; width: 100%; margin: 0; border: 1px solid var(--line); border-radius: 10px; }
iframe { height: 70vh; min-height: 20rem; background: #fff; color-scheme: light; }
pre { padding: 1rem; background: var(--card); font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; }
"""

SCRIPT = """
const fresh = async () => {
  if (document.hidden) return;
  const answer = await fetch("/").catch(() => null);
  if (!answer?.ok) return;
  const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  const shown = document.querySelector("main");
  if (next && next.innerHTML !== shown.innerHTML) shown.replaceWith(next);
};
setInterval(fresh, 2000);
"""


def list_page(mails: Sequence[Mail], most: int) -> str:
    """Write the list of mails, the newest first."""
    items = "".join(_item(mail) for mail in mails)
    body = f"<ol>{items}</ol>" if mails else _EMPTY
    many = f"the newest {most}" if len(mails) == most else str(len(mails))
    count = f"{many} {'mail' if many == '1' else 'mails'}" if mails else "no mail yet"
    return _page(
        "Mail",
        f"<main><header><h1>Mail</h1><p>{count}; taken on this machine, delivered to nobody</p></header>"
        f'{body}</main><script src="/page.js" type="module"></script>',
    )


def mail_page(mail: Mail, *, as_text: bool) -> str:
    """Write the page of one mail; its HTML part stays in a frame that may do nothing."""
    as_text = as_text or not mail.html
    if as_text:
        body = f"<pre>{escape(mail.text)}</pre>"
    else:
        body = f'<iframe sandbox src="/mail/{mail.id}/html" title="The mail"></iframe>'
    facts = {"From": mail.sender, "To": ", ".join(mail.to)}
    rows = "".join(
        f"<dt>{name}<dd><bdi>{escape(fact)}</bdi>" for name, fact in facts.items()
    )
    return _page(
        _subject(mail),
        f'<main><a class="back" href="/">← All mails</a><h1><bdi>{_subject(mail)}</bdi></h1>'
        f"<dl>{rows}<dt>Received<dd>{_time(mail)}</dl>{_views(mail, as_text=as_text)}{body}</main>",
    )


_EMPTY = (
    '<div class="empty"><strong>No mail yet</strong>'
    "<p>What is sent to this server appears here by itself.</p></div>"
)


def _item(mail: Mail) -> str:
    people = f"to {escape(', '.join(mail.to))} · from {escape(mail.sender)}"
    return (
        f'<li><a href="/mail/{mail.id}"><bdi class="subject">{_subject(mail)}</bdi>{_time(mail)}'
        f'<bdi class="people">{people}</bdi></a></li>'
    )


def _views(mail: Mail, *, as_text: bool) -> str:
    views = [("Text", f"/mail/{mail.id}?as=text", as_text)]
    if mail.html:
        views.insert(0, ("HTML", f"/mail/{mail.id}", not as_text))
    links = [
        f'<a href="{to}"{" aria-current=page" if current else ""}>{name}</a>'
        for name, to, current in views
    ]
    source = f'<a href="/mail/{mail.id}/source">Source</a>'
    return f'<nav aria-label="Views">{"".join(links)}{source}</nav>'


def _subject(mail: Mail) -> str:
    return escape(mail.subject) or "(no subject)"


def _time(mail: Mail) -> str:
    local = mail.received.astimezone()
    return f'<time datetime="{local.isoformat(timespec="milliseconds")}">{local:%d %b %H:%M:%S}</time>'


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}</title><link rel="stylesheet" href="/style.css"></head><body>{body}</body></html>'
    )
