"""One valid value of each kind, changed by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Final

from hypothesis import settings

from forge_gdpr.answers import Verdict
from forge_gdpr.certificates import Proven
from forge_gdpr.chain import GENESIS, canonical, seal
from forge_gdpr.checkpoints import Checkpoint
from forge_gdpr.forge.erasure import Erasure, Step
from forge_gdpr.lifecycle import Outcome, Status
from forge_gdpr.merkle import path_to, root_of
from forge_gdpr.pseudonyms import SubjectKey
from forge_gdpr.queue.claims import Claimed
from forge_gdpr.run.summary import Summary

#: For properties: enough examples to find what is wrong, and quick on a slow machine, too.
moderately: Final = settings(max_examples=25, deadline=None)

NOW: Final = datetime(2026, 3, 31, 2, 30, 15, 250_000, tzinfo=UTC)
RUN_ID: Final = "019d41c4-0d10-7cc3-98c4-dc0c0c07398f"
USER_ID: Final = "61ab8f99251cba0014437326"
EMAIL: Final = "Ada@example.org"


@dataclass(slots=True)
class Hands:
    """A monotonic clock that goes on only when it is told to."""

    s: float = 0.0

    def __call__(self) -> float:
        return self.s


def make_claimed(**changes: Any) -> Claimed:
    claimed = Claimed(
        id=7,
        fence=3,
        attempts=2,
        subject="v1:0011aabb:" + "5" * 64,
        regime="gdpr",
        received_at=datetime(2026, 3, 1, 9, tzinfo=UTC),
        due_on=date(2026, 4, 1),
        forge_user_id=USER_ID,
        email=EMAIL,
        public_reference="TICKET-1",
    )
    return replace(claimed, **changes)


def make_erasure(**changes: Any) -> Erasure:
    erasure = Erasure(
        verdict=Verdict.ERASED,
        http_status=200,
        tries=1,
        steps=(Step(name="account", http_status=200, tries=1),),
    )
    return replace(erasure, **changes)


def make_subject_key(secret: bytes = bytes(range(32))) -> SubjectKey:
    return SubjectKey(secret)


def make_summary(**changes: Any) -> Summary:
    summary = Summary(
        run_id=RUN_ID,
        opened_at=NOW,
        elapsed_s=2.0,
        due=3,
        admitted=2,
        claimed=3,
        recovered=0,
        calls=4,
        late=0,
        outcomes={Outcome.ERASED: 2, Outcome.ALREADY_ABSENT: 1},
        became={Status.DONE: 3},
        left=0,
        next_due_on=None,
        at_risk=0,
        halt=None,
        signal=None,
    )
    return replace(summary, **changes)


class Chain:
    """A chain's events with their hashes."""

    def __init__(self, name: str, bodies: Sequence[Mapping[str, Any]]) -> None:
        self.previous: list[str] = []
        self.texts: list[str] = []
        self.leaves: list[bytes] = []
        previous = GENESIS
        for seq, body in enumerate(bodies, start=1):
            at = f"2026-11-24T03:00:{seq:02}.000000Z"
            self.previous.append(previous)
            self.texts.append(canonical({"at": at, **body, "chain": name, "seq": seq}))
            previous = seal(previous, self.texts[-1])
            self.leaves.append(bytes.fromhex(previous))

    def hash(self, seq: int) -> str:
        return self.leaves[seq - 1].hex()

    def proven(self, seq: int, size: int | None = None) -> Proven:
        path = path_to(seq - 1, self.leaves[:size])
        return Proven(
            previous=self.previous[seq - 1],
            body=self.texts[seq - 1],
            path=[one.hex() for one in path],
        )


def make_checkpoint(leaves: Sequence[bytes]) -> Checkpoint:
    return Checkpoint(
        origin="example.org/forge-gdpr",
        size=len(leaves),
        root=root_of(leaves),
        head=leaves[-1].hex(),
        at=datetime(2026, 11, 24, 3, tzinfo=UTC),
    )
