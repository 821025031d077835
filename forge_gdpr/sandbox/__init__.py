"""Forge's Users API on 127.0.0.1, with faults on demand.

Written from the published reference alone and sharing no code with ``forge_gdpr.forge``: if the
two were one, a misreading of the API would be tested against itself and found right.

The flow of one request: ``protocol`` reads bytes, ``wire`` makes a request of them, ``simulator``
asks ``faults`` whether one strikes and ``api`` what Forge would do, ``delivery`` decides what goes
out and how, ``protocol`` sends it. Only ``protocol`` and ``server`` touch sockets.
"""

from forge_gdpr.sandbox.faults import Fault, FaultKind, parse_faults
from forge_gdpr.sandbox.seen import Seen
from forge_gdpr.sandbox.server import Sandbox
from forge_gdpr.sandbox.users import User, generated_user

__all__ = ["Fault", "FaultKind", "Sandbox", "Seen", "User", "generated_user", "parse_faults"]
