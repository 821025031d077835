"""A certificate as a page to print: one file, no network, no script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_STYLE: Final = """
:root { color-scheme: light dark; --line: #c9ced6; --quiet: #55606e; }
@media (prefers-color-scheme: dark) { :root { --line: #444c56; --quiet: #a0abb8; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.quiet { color: var(--quiet); } .outcome { font-size: 1.2rem; font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; }
tr { border-bottom: 1px solid var(--line); }
td, pre { overflow-wrap: anywhere; } pre { white-space: pre-wrap; font-size: .85rem; }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } h2 { break-after: avoid; } }
"""


def as_html(document: Mapping[str, Any]) -> str:
    """Return the page. It can't be verified itself: the JSON can.

    Args:
        document: as `certificates.certificate` returns it.
    """
    request, result, record = document["request"], document["result"], document["record"]
    facts = {
        "Request": request["id"],
        "Reference of the asker": request["reference"],
        "Person, as a pseudonym": request["subject"],
        "Law": request["regime"],
        "Received": request["received_at"],
        "Due": result["due_on"],
        "Closed": result["closed_at"],
        "On time": _yes(result["on_time"]),
        "Reason": result["reason"],
        "Answer of Forge": _http(result["http_status"]),
        "Asked again afterwards, and gone": _yes(result["verified_absent"]),
        "Run": result["run_id"],
        "By": result["actor"],
    }
    steps = [
        (step["at"], step["event"], step.get("outcome") or step.get("reason"), _statuses(step))
        for step in document["steps"]
    ]
    runs = [
        (run["run_id"], run["opened_at"], run["version"], run["settings_sha256"])
        for run in document["runs"]
    ]
    title = f"Certificate of request {request['id']}"
    parts = [
        f"<h1>{_text(title)}</h1>",
        f'<p class="quiet">Issued {_text(document["issued_at"])}; its JSON can be verified.</p>',
        f'<p class="outcome">{_text(result["outcome"])}</p>',
        f"<p>{_text(result['meaning'])}</p>",
        "<h2>The request</h2>",
        _table("What was asked, and what became of it", (), facts.items()),
        "<h2>Step by step</h2>",
        _table("Every event of the record", ("Time (UTC)", "Event", "Outcome", "HTTP"), steps),
    ]
    if runs:
        head = ("Run", "Opened", "Version", "SHA-256 of the settings")
        parts += ["<h2>Runs</h2>", _table("What did it", head, runs)]
    limits = "".join(f"<li>{_text(limit)}</li>" for limit in document["limits"])
    parts += [
        "<h2>What it does not prove</h2>",
        f"<ul>{limits}</ul>",
        "<h2>The checkpoint</h2>",
        f"<p>Signed over {_text(record['events'])} events, {_text(record['signed_at'])}.</p>",
        f"<pre>{_text(document['evidence']['checkpoint'])}</pre>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _table(caption: str, head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table; without a head the first cell of each row names it."""
    titles = "".join(f'<th scope="col">{_text(one)}</th>' for one in head)
    lines = []
    for first, *others in rows:
        cells = "".join(f"<td>{_text(cell)}</td>" for cell in others)
        begin = f"<td>{_text(first)}</td>" if titles else f'<th scope="row">{_text(first)}</th>'
        lines.append(f"<tr>{begin}{cells}</tr>")
    top = f"<thead><tr>{titles}</tr></thead>" if titles else ""
    return f"<table><caption>{_text(caption)}</caption>{top}<tbody>{''.join(lines)}</tbody></table>"


def _statuses(step: Mapping[str, Any]) -> str:
    """Return the HTTP statuses of an attempt, by step."""
    named = [f"{one['name']} {one['http_status']}" for one in step.get("steps", ())]
    return ", ".join(named) or _http(step.get("http_status"))


def _http(status: object) -> str:
    return "" if status is None else f"HTTP {status}"


def _yes(found: object) -> str:
    return {True: "yes", False: "no"}.get(found, "") if isinstance(found, bool) else ""


def _text(value: object) -> str:
    return "" if value is None else escape(str(value))
