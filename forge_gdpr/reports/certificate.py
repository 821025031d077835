"""A certificate as a page to print: one file, no network, no script that a browser would run.

The page holds the certificate's JSON, so that it can be verified as it is: the certificate by its
evidence, and what the page shows by writing the page again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from forge_gdpr.outcomes import steps_in
from forge_gdpr.reports.page import bullets, page, table, text

if TYPE_CHECKING:
    from collections.abc import Mapping


_BEGIN: Final = '<script type="application/json" id="certificate">'
_END: Final = "</script>"
#: What could end the block, or begin another one, spelt out.
_SPELT_OUT: Final = str.maketrans({sign: f"\\u{ord(sign):04x}" for sign in "<>&"})


def as_html(document: Mapping[str, Any]) -> str:
    """Return the page.

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
        '<p class="quiet">This file holds the evidence and can be verified as it is.</p>',
        f'<p class="outcome">{text(result["name"])}</p>',
        f"<p>{text(result['meaning'])}</p>",
        '<p class="quiet">Told from the events below; the record may have others.</p>',
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
        f"{_BEGIN}\n{json.dumps(document, indent=2).translate(_SPELT_OUT)}\n{_END}",
    ]
    return page(title, parts)


def certificate_text_in(html: str) -> str | None:
    """Return the JSON of the certificate that a page holds; None: it does not hold exactly one."""
    _, *others = html.split(_BEGIN)
    block = others[0].split(_END, 1) if len(others) == 1 else []
    return block[0] if len(block) > 1 else None


def _statuses(step: Mapping[str, Any]) -> str:
    """Return the HTTP statuses of an attempt, by step."""
    named = [f"{one['name']} {one['http_status']}" for one in steps_in(step)]
    return ", ".join(named) or _http(step.get("http_status"))


def _http(status: object) -> str:
    return "" if status is None else f"HTTP {status}"


def _yes(found: object) -> str:
    return {True: "yes", False: "no"}.get(found, "") if isinstance(found, bool) else ""
