"""The checks of `doctor`, each against the real thing. None leaves anything changed."""

from __future__ import annotations

import os
import shutil
import stat
from datetime import datetime, timedelta
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

from sqlalchemy import false, insert, literal, select, update

from forge_gdpr.audit import checkpoints
from forge_gdpr.audit.events import MAIN, EventName
from forge_gdpr.audit.history import closings, newest_body
from forge_gdpr.checkpoints import copies_in
from forge_gdpr.database import schema, soundness
from forge_gdpr.database.engine import now as database_now
from forge_gdpr.database.engine import reading, writing
from forge_gdpr.database.faults import shown_url
from forge_gdpr.database.files import process_login
from forge_gdpr.database.guarding import try_changes
from forge_gdpr.database.tables import audit_events, deletion_requests, runs
from forge_gdpr.errors import ExitCode, ForgeGdprError
from forge_gdpr.identifiers import email_fault, user_id_fault
from forge_gdpr.lifecycle import OPEN
from forge_gdpr.newfiles import read_notes, why_not_read
from forge_gdpr.queue import backlog
from forge_gdpr.queue.backlog import Due
from forge_gdpr.queue.cells import cell, whole
from forge_gdpr.watch.findings import Finding, failure, warning
from forge_gdpr.watch.status import last_good

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine

    from forge_gdpr.pseudonyms import Keyring

_C: Final = deletion_requests.c
#: Leases and Retry-After bear such a difference; a date of receipt should not.
MOST_CLOCK_SKEW: Final = timedelta(seconds=60)
LEAST_FREE_BYTES: Final = 100 * 2**20
ENOUGH_FREE_BYTES: Final = 2**30


def tried(name: str, check: Callable[[], Finding]) -> Finding:
    """Make a check; an error that is meant for the operator is a failure."""
    try:
        return check()
    except ForgeGdprError as error:
        return failure(name, str(error), error.exit_code)


def database(engine: Engine, *, shown: str) -> Finding:
    """See whether the database can be reached and is at this program's schema."""
    with reading(engine) as connection:
        schema.require_current(connection)
    return Finding(name="database", said=f"{shown} is reached, at revision {schema.REVISION}")


def writable(engine: Engine) -> Finding:
    """See whether a run may write all that it has to; nothing is written."""
    nothing = select(literal("doctor"), literal("main"), literal(0)).where(false())
    columns = [audit_events.c[name] for name in ("event", "chain", "seq")]
    with writing(engine) as connection:
        connection.execute(insert(audit_events).from_select(columns, nothing))
        for table in (deletion_requests, runs):
            connection.execute(update(table).where(false()).values(closed_at=None))
    return Finding(name="writable", said="a run may write requests, runs and record")


def takes_writes(engine: Engine) -> Finding:
    """See whether a PostgreSQL server takes writes at all."""
    only_reads = False
    if engine.dialect.name == "postgresql":
        with reading(engine) as connection:
            default = "current_setting('default_transaction_read_only')::boolean"
            query = f"SELECT pg_is_in_recovery() OR {default}"
            only_reads = connection.exec_driver_sql(query).scalar_one()
    if only_reads:
        return failure(
            "writable",
            "this server only reads, as a standby does, or one with default_transaction_read_only:"
            " connect to the primary (?target_session_attrs=read-write)",
            ExitCode.DATABASE,
        )
    return Finding(name="writable", said="the server takes writes")


def undamaged(engine: Engine) -> Finding:
    """See whether a SQLite file is damaged; PostgreSQL sees to that itself.

    The record is looked at first: an index of it that says something else than its table may be
    somebody's work.
    """
    advice = "keep the database as it is, run 'forge-gdpr audit verify', and ask who did it"
    with reading(engine) as connection:
        sqlite = engine.dialect.name == "sqlite"
        form = soundness.form_fault(connection)
        faults = soundness.integrity_faults(connection) if sqlite and form is None else ()
        lie = form or soundness.lie_in(connection, faults)
    if lie is not None:
        return failure("whole", f"{lie}: {advice}", ExitCode.AUDIT_BROKEN)
    if not sqlite:
        return Finding(name="whole", said="PostgreSQL keeps its files itself")
    if faults:
        return failure(
            "whole",
            f"the database {shown_url(engine.url)} is damaged ({len(faults)} faults or more):"
            " restore it from a backup, then run 'forge-gdpr audit verify'",
            ExitCode.DATABASE,
        )
    return Finding(name="whole", said="the file is not damaged")


def owners(database_file: Path) -> Finding:
    """See whether a SQLite database's files are one login's, and this login may write them.

    A command that root ran leaves files beside it that the nightly login can't write.
    """
    beside = [Path(f"{database_file}{end}") for end in ("", "-wal", "-shm")]
    paths = [path for path in beside if path.exists()]
    owner_uid = database_file.stat().st_uid
    strangers = [path for path in paths if path.stat().st_uid != owner_uid]
    if strangers:
        names = " ".join(str(path) for path in strangers)
        said = f"{names} belongs to another login: run 'chown --reference={database_file} {names}'"
        return failure("owners", said, ExitCode.DATABASE)
    shut = [path for path in (*paths, database_file.parent) if not os.access(path, os.W_OK)]
    if shut:
        names = " ".join(str(path) for path in shut)
        said = (
            f"{names} can't be written by {process_login()}: run 'chown {process_login()} {names}'"
        )
        return failure("owners", f"{said} as root", ExitCode.DATABASE)
    return Finding(name="owners", said="this login may write the database's files")


def triggers(engine: Engine) -> Finding:
    """See whether the database itself refuses to change the record: by trying, if one may."""
    with writing(engine) as connection:
        return triggers_in(connection)


def triggers_in(connection: Connection) -> Finding:
    """See it in a transaction that may write; what is tried in it is taken back."""
    missing = schema.missing_triggers(connection)
    tried = try_changes(connection)
    faults = [f"{', '.join(missing)} missing, disabled or replaced"] if missing else []
    faults += [f"it lets {' and '.join(tried.passed)} pass"] if tried.passed else []
    if faults:
        return failure(
            "triggers",
            f"the database no longer protects the record ({'; '.join(faults)}): run 'forge-gdpr"
            " audit verify', and ask who did it",
            ExitCode.AUDIT_BROKEN,
        )
    if tried.forbidden:
        return Finding(
            name="triggers",
            said="they are there; that they refuse was not tried, for this login may not change"
            " the record anyhow: let the tables' owner run doctor, too",
        )
    return Finding(name="triggers", said="the database refuses to change or delete the record")


def subject_key(engine: Engine, keys: Keyring) -> Finding:
    """See whether people are found under the key that the record's last run used."""
    with reading(engine) as connection:
        opened = newest_body(connection, chain=MAIN, event=EventName.RUN_OPENED)
    used = None if opened is None else opened.get("subject_key")
    said = f"{keys.current.id} is used, of {len(keys.keys)} live"
    if used is None:
        return Finding(name="subject key", said=f"{said}; no run has used one yet")
    if not keys.has(used):
        return failure(
            "subject key",
            f"the last run used key {used}, which is not among those that are live: put it back,"
            " else nobody in the record is found again",
            ExitCode.CONFIGURATION,
        )
    return Finding(name="subject key", said=said)


def database_clock(engine: Engine, *, now: Callable[[], datetime]) -> Finding:
    """See whether this machine's clock is the database's, however long it took to get there."""
    with reading(engine) as connection:
        theirs = database_now(connection)
        return compared("database clock", theirs, now(), "the database's")


def approvals(engine: Engine, *, now: datetime, cool_off_days: int) -> Finding:
    """See whether requests wait for an approval that nobody gives."""
    due = Due(now=now, cool_off_days=cool_off_days, approved_only=True, reads_people=False)
    with reading(engine) as connection:
        count = backlog.count_unapproved(connection, due)
    if count:
        return warning(
            "approvals",
            f"{count} due requests wait for somebody to approve them: see"
            " 'forge-gdpr requests list --status pending', then 'forge-gdpr requests approve'",
        )
    return Finding(name="approvals", said="no due request waits for one")


def shared_login(engine: Engine) -> Finding:
    """Say what an approval is worth where people share a login of the database."""
    if engine.dialect.name == "sqlite":
        return Finding(name="shared login", said="SQLite has no logins")
    return warning(
        "shared login",
        "FORGE_GDPR_SHARED_LOGIN is true, so who approves is told from who adds by --actor alone:"
        " give people logins of their own (cron/postgres-roles.sql), then unset it",
    )


def last_run(engine: Engine, *, now: datetime, max_age_h: float) -> Finding:
    """See when a run last did its night's work."""
    with reading(engine) as connection:
        last = last_good(closings(connection))
    if last is None:
        return warning("last run", "no run has ended well yet: try 'forge-gdpr run --dry-run'")
    age_h = (now - last.closed_at) / timedelta(hours=1)
    said = f"the last good run closed {age_h:.1f} h ago"
    if age_h > max_age_h:
        return warning("last run", f"{said}, over {max_age_h:g} h: is it scheduled?")
    return Finding(name="last run", said=said)


def identifiers(engine: Engine, *, pattern: re.Pattern[str]) -> Finding:
    """See whether open requests name people by what looks like an id and an address.

    Read row by row: an application may have inserted millions.
    """
    rows = (
        select(_C.id, cell("forge_user_id"), cell("email"), whole().label("is_whole"))
        .where(_C.status.in_(OPEN))
        .order_by(_C.id)
        .execution_options(yield_per=1000)
    )
    ids = emails = unreadable = 0
    first = ""
    with reading(engine) as connection, connection.execute(rows) as opened:
        for request_id, user_id, email, is_whole in opened:
            unreadable += not is_whole
            wrong_id = None if user_id is None else user_id_fault(str(user_id), pattern)
            wrong_email = email_fault(str(email)) if str(email or "").strip() else None
            ids += wrong_id is not None
            emails += wrong_email is not None
            unread = None if is_whole else "a column can't be read"
            first = first or _first(request_id, unread or wrong_id or wrong_email)
    if not first:
        return Finding(
            name="identifiers", said="the ids and addresses of all open requests look right"
        )
    also = f", with a column that can't be read: {unreadable}" if unreadable else ""
    return warning(
        "identifiers",
        f"open requests with a user id that does not look like one: {ids}, with an e-mail that is"
        f" not an address: {emails}{also}; {first}: correct the columns in the table, or the next"
        " run sends these requests to review",
    )


def files(private: Sequence[Path]) -> Finding:
    """See whether files that hold people or secrets are their owner's alone."""
    opened = [path for path in private if path.exists() and _others_may(path)]
    if opened:
        names = " ".join(str(path) for path in opened)
        return warning("files", f"others may read or write: run 'chmod 600 {names}'")
    return Finding(name="files", said="what holds people or secrets is its owner's alone")


def checkpoint_file(path: Path, engine: Engine) -> Finding:
    """See whether checkpoints can be copied to where copies are kept, and have been."""
    with reading(engine) as connection:
        newest = checkpoints.newest(connection)
    name, again = "checkpoint file", "then run 'forge-gdpr audit checkpoint'"
    try:
        text = read_notes(path)
    except FileNotFoundError:
        if newest is not None:
            return failure(
                name,
                f"{path} is not there, though the record is signed, so no run begins: mount it or"
                " put it back; if copies are kept from today on, run 'install -m 600 /dev/null"
                f" {quote(str(path))}' once, {again}",
                ExitCode.CONFIGURATION,
            )
        if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
            return warning(name, f"{path} can't be made: see 'ls -ld {path.parent}', {again}")
        return Finding(name=name, said=f"{path} can be made; no checkpoint was signed yet")
    except OSError as error:
        said = f"{path} can't be read ({why_not_read(error)}), so no run begins: name a file that"
        return failure(name, f"{said} this login may read", ExitCode.CONFIGURATION)
    notes, torn = copies_in(text)
    faults = {
        f"it can't be written: see 'ls -l {path}', {again}": not _may_append(path),
        f"others may read or write it: run 'chmod 600 {path}'": _others_may(path),
        f"{torn} in it {'is' if torn == 1 else 'are'} torn, and count for nothing": torn > 0,
        "the record's newest is not in it: run 'forge-gdpr audit checkpoint'": (
            newest is not None and newest not in notes
        ),
    }
    wrong = [fault for fault, is_so in faults.items() if is_so]
    if wrong:
        return warning(name, f"{path}: {'; '.join(wrong)}")
    return Finding(name=name, said=f"{path} holds the newest checkpoint ({len(notes)} in all)")


def _may_append(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    except OSError:
        return False
    return True


def user_logs() -> Finding:
    """Say what becomes of users' logs while ERASE_LOGS is off; that is a choice, not a fault."""
    said = "Forge keeps the logs of users it deletes: FORGE_GDPR_ERASE_LOGS is off"
    return Finding(name="user logs", said=said)


def disk(folder: Path) -> Finding:
    """See whether a night's record fits on the disk."""
    free = shutil.disk_usage(folder).free
    said = f"{free / 2**30:,.1f} GiB free in {folder.resolve()}"
    if free < LEAST_FREE_BYTES:
        return failure("disk", f"{said}: make room, or the run stops", ExitCode.DATABASE)
    if free < ENOUGH_FREE_BYTES:
        return warning("disk", f"{said}: make room soon")
    return Finding(name="disk", said=said)


def compared(name: str, theirs: datetime, ours: datetime, whose: str) -> Finding:
    """Return what a difference of two clocks means; ``whose`` clock shows ``theirs``."""
    ahead_s = (ours - theirs).total_seconds()
    if abs(ahead_s) <= MOST_CLOCK_SKEW.total_seconds():
        return Finding(name=name, said=f"{abs(ahead_s):.0f} s from this machine's")
    way = "ahead of" if ahead_s > 0 else "behind"
    return warning(name, f"this machine is {abs(ahead_s):.0f} s {way} {whose}: is NTP running?")


def _others_may(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _first(request_id: int, fault: str | None) -> str:
    return "" if fault is None else f"the first is request {request_id} ({fault})"
