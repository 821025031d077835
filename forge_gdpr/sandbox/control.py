"""The sandbox's own endpoints, beside Forge's: no key, no fault, no log. Loopback only.

* ``POST /_sandbox/faults`` appends faults, as ``parse_faults`` reads them; 400 if it can't.
* ``DELETE /_sandbox/faults``: no more faults.
* ``GET /_sandbox/seen``: the log as a JSON list.
* ``GET /_sandbox/users``: the users as a JSON list.
"""

from dataclasses import asdict
from typing import Final

from forge_gdpr.sandbox.api import json_answer
from forge_gdpr.sandbox.endpoints import path_of
from forge_gdpr.sandbox.faults import parse_faults
from forge_gdpr.sandbox.simulator import Simulator
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
            return json_answer(200, [asdict(user) for user in simulator.users()])
        case _, "faults" | "seen" | "users":
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
