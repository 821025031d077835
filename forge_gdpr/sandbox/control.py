"""The sandbox's own endpoints, beside Forge's: no key, no fault, no log. Loopback only.

* ``POST /_sandbox/faults`` appends faults, as ``parse_faults`` reads them; 400 if it can't.
* ``DELETE /_sandbox/faults``: no more faults.
* ``GET /_sandbox/seen``: the log as a JSON list.
* ``GET /_sandbox/users``: the users of the main account as a JSON list; with ``?key=...`` those of
  another; 404 if no account has the key.
* ``PUT /_sandbox/paging`` with ``{"size": 100, "hint": "next"}``: the list comes in pages from now
  on; ``DELETE`` makes it whole again.
"""

from dataclasses import asdict
from typing import Final
from urllib.parse import parse_qs

from forge_gdpr.sandbox.accounts import UnknownKeyError
from forge_gdpr.sandbox.api import json_answer
from forge_gdpr.sandbox.endpoints import path_of
from forge_gdpr.sandbox.faultfile import parse_faults, parse_paging
from forge_gdpr.sandbox.simulator import Simulator
from forge_gdpr.sandbox.userlist import Paging
from forge_gdpr.sandbox.wire import Answer, Request

_PREFIX: Final = "/_sandbox/"


def is_control(request: Request) -> bool:
    """Say whether the request is meant for the sandbox and not for Forge."""
    return request.target.startswith(_PREFIX)


def control(simulator: Simulator, request: Request) -> Answer:
    """Carry out a request to the sandbox itself."""
    match request.method, path_of(request.target).removeprefix(_PREFIX):
        case "POST", "faults":
            return _append(simulator, request.body)
        case "DELETE", "faults":
            return json_answer(200, {"cleared": simulator.clear()})
        case "GET", "seen":
            entries = [asdict(seen) | {"at": seen.at.isoformat()} for seen in simulator.seen()]
            return json_answer(200, entries)
        case "GET", "users":
            return _users(simulator, request.target)
        case "PUT", "paging":
            return _cut(simulator, request.body)
        case "DELETE", "paging":
            simulator.cut(Paging())
            return json_answer(200, asdict(simulator.paging()))
        case _, "faults" | "seen" | "users" | "paging":
            return json_answer(405, {"message": "Method not allowed"})
        case _:
            return json_answer(404, {"message": "The sandbox has no such path"})


def _append(simulator: Simulator, body: bytes) -> Answer:
    try:
        faults = parse_faults(body.decode())
    except ValueError as error:
        return json_answer(400, {"message": str(error)})
    simulator.extend(faults)
    return json_answer(200, {"added": len(faults)})


def _users(simulator: Simulator, target: str) -> Answer:
    [key] = parse_qs(target.partition("?")[2]).get("key", [None])[:1]
    try:
        return json_answer(200, [asdict(user) for user in simulator.users(key)])
    except UnknownKeyError as error:
        return json_answer(404, {"message": str(error)})


def _cut(simulator: Simulator, body: bytes) -> Answer:
    try:
        simulator.cut(parse_paging(body.decode()))
    except ValueError as error:
        return json_answer(400, {"message": str(error)})
    return json_answer(200, asdict(simulator.paging()))
