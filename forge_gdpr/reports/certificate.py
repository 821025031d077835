"""A certificate as a page to print: one file, no network, no script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forge_gdpr.outcomes import steps_in
from forge_gdpr.reports.page import bullets, page, table, text

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        "Asked afterwards, and no such user": "yes"
        if result["verified_absent"]
        else "not shown here",
        "How absence was shown": result["absence"],
        "The user's logs": result["logs"],
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
        f"<h1>{text(title)}</h1>",
        f'<p class="quiet">From the record as it was signed {text(record["signed_at"])}.</p>',
        f'<p class="outcome">{text(result["name"])}</p>',
        f"<p>{text(result['meaning'])}</p>",
        "<h2>The request</h2>",
        table("What was asked, and what became of it", (), facts.items()),
        "<h2>Step by step</h2>",
        table(
            "Events of the request that are proven to be in the record",
            ("Time (UTC)", "Event", "Outcome", "HTTP"),
            steps,
        ),
    ]
    if runs:
        head = ("Run", "Opened", "Version", "SHA-256 of the settings")
        parts += ["<h2>Runs</h2>", table("What did it", head, runs)]
    parts += [
        "<h2>What it proves</h2>",
        bullets(document["proves"]),
        "<h2>What it does not prove</h2>",
        bullets(document["limits"]),
        "<h2>The checkpoint</h2>",
        f"<p>Signed over {text(record['events'])} events, {text(record['signed_at'])}.</p>",
        f"<p>By the key {text(record['signed_by'])}.</p>",
        f"<pre>{text(document['evidence']['checkpoint'])}</pre>",
    ]
    return page(title, parts)


def _statuses(step: Mapping[str, Any]) -> str:
    """Return the HTTP statuses of an attempt, by step."""
    named = [f"{one['name']} {one['http_status']}" for one in steps_in(step)]
    return ", ".join(named) or _http(step.get("http_status"))


def _http(status: object) -> str:
    return "" if status is None else f"HTTP {status}"


def _yes(found: object) -> str:
    return {True: "yes", False: "no"}.get(found, "") if isinstance(found, bool) else ""
