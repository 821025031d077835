"""Forge's Users API on 127.0.0.1, with faults on demand.

Written from the published reference alone and sharing no code with ``forge_gdpr.forge``: if the
two were one, a misreading of the API would be tested against itself and found right.

The flow of one request: ``protocol`` reads bytes, ``wire`` makes a request of them, ``simulator``
asks ``faults`` whether one strikes and ``api`` what Forge would do, ``delivery`` decides what goes
out and how, ``protocol`` sends it. Only ``protocol`` and ``server`` touch sockets.

What can be set up: ``accounts`` (which key reaches which users), ``userlist`` (the list in pages,
and odd entries in it), ``codings`` (answers in gzip and its like), ``faults`` (all that goes
wrong), ``faultfile`` (how a file says so), ``control`` (how it is changed while it runs).
"""

from forge_gdpr.sandbox.codings import Encoding
from forge_gdpr.sandbox.faultfile import parse_faults
from forge_gdpr.sandbox.faults import Fault, FaultKind
from forge_gdpr.sandbox.seen import Seen
from forge_gdpr.sandbox.server import Sandbox
from forge_gdpr.sandbox.userlist import Hint, Paging, Placement
from forge_gdpr.sandbox.users import User, generated_user

__all__ = [
    "Encoding",
    "Fault",
    "FaultKind",
    "Hint",
    "Paging",
    "Placement",
    "Sandbox",
    "Seen",
    "User",
    "generated_user",
    "parse_faults",
]
