"""``forge-gdpr run``: the nightly job, and its dry run."""

from __future__ import annotations

import secrets
import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

import click

from forge_gdpr import options
from forge_gdpr.cli import wiring
from forge_gdpr.cli.output import counted, echo_json, echo_table
from forge_gdpr.cli.parameters import (
    CODE,
    MOST,
    actor_option,
    ending,
    output_option,
    setting,
    yes_option,
)
from forge_gdpr.cli.paths import named
from forge_gdpr.cli.terminal import confirmed, is_terminal, somebody_is_there
from forge_gdpr.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from sqlalchemy import Engine

    from forge_gdpr.forge.erasure import Steps
    from forge_gdpr.run.nightly import Stop
    from forge_gdpr.run.opening import Limits
    from forge_gdpr.run.plan import Plan
    from forge_gdpr.run.preview import Preview
    from forge_gdpr.run.summary import Summary
    from forge_gdpr.settings import Settings


@click.command(
    "run",
    epilog=ending(
        "forge-gdpr run --dry-run",
        *(code for code in ExitCode if code not in {ExitCode.BUG, ExitCode.STALE}),
    ),
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done; needs no API key.")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(dir_okay=False),
    help="With --dry-run: write here what would be deleted. Else: delete this and nobody else.",
)
@click.option("--check", is_flag=True, help="With --dry-run: ask Forge which of them exist.")
@click.option("--limit", type=click.IntRange(1, MOST), help="Take at most this many.")
@click.option(
    "--expect",
    type=click.IntRange(0, MOST),
    help="Tonight so many may be due, whatever the guards say.",
)
@click.option(
    "--expect-absent",
    type=click.IntRange(0, MOST),
    help="Tonight, close up to this many as absent although nothing shows that the account is"
    " yours.",
)
@click.option(
    "--after-restore",
    is_flag=True,
    help="Go on although the database is older than its newest checkpoint: what people did since"
    " has been made again.",
)
@click.option(
    "--reason",
    type=CODE,
    help="With --expect, --expect-absent or --after-restore: why, as a code, for the record.",
)
@setting(options.CONCURRENCY)
@setting(options.RATE)
@setting(options.MAX_RUNTIME_S, "--max-runtime")
@actor_option
@output_option
@click.option("--quiet", is_flag=True, help="No summary and no progress; errors are shown.")
@yes_option
@click.pass_context
def run_command(
    ctx: click.Context,
    dry_run: bool,
    plan_file: str | None,
    check: bool,
    limit: int | None,
    expect: int | None,
    expect_absent: int | None,
    after_restore: bool,
    reason: str | None,
    concurrency: int | None,
    rate: float | None,
    max_runtime_s: float | None,
    actor: str | None,
    output: str,
    quiet: bool,
    yes: bool,
) -> None:
    """Carry out the deletion requests that are due.

    Safe to start twice: runs claim different requests. Stopped by SIGTERM, SIGHUP or Ctrl-C it
    records what is in flight and gives the rest back.
    """
    from forge_gdpr.newfiles import require_new
    from forge_gdpr.run.opening import Limits

    _require_sense(
        check=check,
        dry_run=dry_run,
        reason=reason,
        overrides=expect is not None or expect_absent is not None or after_restore,
        expect_absent=expect_absent,
        after_restore=after_restore,
    )
    settings = wiring.settings_with(concurrency=concurrency, rate=rate, max_runtime_s=max_runtime_s)
    limits = Limits(
        max_due=settings.max_due,
        cool_off_days=settings.cool_off_days,
        limit=limit,
        expected=expect,
        expect_absent=expect_absent,
        reason=reason,
        after_restore=after_restore,
        max_share=settings.max_share,
        spike_factor=settings.spike_factor,
        canary=settings.canary,
        approved_only=settings.require_approval,
    )
    engine = wiring.migrated_engine(settings)
    if dry_run:
        if plan_file is not None:
            with named(plan_file):
                require_new(Path(plan_file))
        preview = _previewed(engine, settings, limits, check=check)
        _show_preview(preview, output)
        _require_continued(engine, settings, limits)
        if plan_file is not None:
            _write_plan(engine, settings, limits, plan_file)
        _warn_of_blindness(preview)
        return
    if plan_file is not None:
        limits = replace(limits, plan=_read_plan(settings, plan_file))
    _require_continued(engine, settings, limits)
    if somebody_is_there() and not yes and not _confirmed(engine, settings, limits):
        return
    quiet_progress = quiet or not is_terminal(sys.stderr)
    with _signals() as stop, _progress(quiet_progress) as progress:
        summary = _run(engine, settings, limits, wiring.actor(settings, actor), stop, progress)
    if not quiet:
        _show_summary(summary, output)
    if summary.halt is not None:
        click.echo(f"error: {summary.advice}", err=True)
    ctx.exit(summary.exit_code)


def _require_sense(
    *,
    check: bool,
    dry_run: bool,
    reason: str | None,
    overrides: bool,
    expect_absent: int | None,
    after_restore: bool,
) -> None:
    """Refuse options that mean nothing without others."""
    if check and not dry_run:
        raise click.UsageError("--check goes with --dry-run")
    if reason is not None and not overrides:
        raise click.UsageError("--reason goes with --expect, --expect-absent or --after-restore")
    if expect_absent is not None and reason is None:
        raise click.UsageError("--expect-absent needs --reason CODE, for the record")
    if after_restore and reason is None:
        raise click.UsageError("--after-restore needs --reason CODE, for the record")


def _confirmed(engine: Engine, settings: Settings, limits: Limits) -> bool:
    """Ask somebody at the terminal, if anybody is due."""
    if limits.plan is None:
        count = _previewed(engine, settings, limits, check=False).due
    else:
        count = len(limits.plan.ids)
    if count == 0:
        return True
    most = limits.limit is not None and limits.limit < count
    who = f"at most {limits.limit} of these people" if most else "these people"
    return confirmed(
        f"{counted(count, 'request')} due: delete {who} at {settings.base_url}?", yes=False
    )


def _run(
    engine: Engine,
    settings: Settings,
    limits: Limits,
    actor: str,
    stop: Stop,
    progress: Callable[[int, int], None],
) -> Summary:
    from importlib.metadata import version

    from forge_gdpr.forge.erasure import Eraser
    from forge_gdpr.run.nightly import Order, Surroundings, run

    order = Order(
        actor=actor,
        version=version("forge-gdpr"),
        subject_key=wiring.subject_key(settings),
        limits=limits,
        concurrency=settings.concurrency,
        batch=settings.batch,
        lease_s=settings.lease_s,
        database_patience_s=settings.database_patience_s,
        max_attempts=settings.max_attempts,
        max_runtime_s=settings.max_runtime_s,
        legal=wiring.legal_clock(settings),
        ids=wiring.id_rules(settings),
        account=wiring.account(settings),
        settings_digest=settings.digest(),
        signing_key=wiring.signing_key(settings),
        references=wiring.references(settings),
        copies=wiring.copies(settings),
    )
    gate = wiring.gate_for(settings)
    steps = _steps(settings)
    with wiring.client_for(settings, gate) as client:
        around = Surroundings(
            engine=engine,
            eraser=Eraser(client, steps, sentinel=settings.sentinel_user_id),
            gate=gate,
            stop=stop,
            monotonic=wiring.monotonic,
            random=secrets.token_bytes,
            progress=progress,
            publish=wiring.publisher(settings),
        )
        return run(order, around)


def _require_continued(engine: Engine, settings: Settings, limits: Limits) -> None:
    """Say in a dry run, too, that the record is not what was signed."""
    from forge_gdpr.database.engine import reading
    from forge_gdpr.run.opening import continued

    copies = wiring.copies(settings).as_now()
    with reading(engine) as connection:
        continued(connection, limits, copies)


def _steps(settings: Settings) -> Steps:
    from forge_gdpr.forge.erasure import Steps

    return Steps(erase_logs=settings.erase_logs, verify=settings.verify)


def _previewed(engine: Engine, settings: Settings, limits: Limits, *, check: bool) -> Preview:
    from forge_gdpr.forge.looking import read_directory
    from forge_gdpr.run.preview import Check, preview

    if not check:
        return preview(engine, limits)
    with wiring.client_for(settings) as client:
        asking = Check(
            read=lambda user_ids, emails: read_directory(client, user_ids=user_ids, emails=emails),
            account=wiring.account(settings),
            ids=wiring.id_rules(settings),
        )
        return preview(engine, limits, check=asking)


def _write_plan(engine: Engine, settings: Settings, limits: Limits, file: str) -> None:
    from forge_gdpr.database.engine import now, reading
    from forge_gdpr.newfiles import write_new
    from forge_gdpr.run.plan import made

    key = wiring.subject_key(settings)
    with reading(engine) as connection:
        plan = made(
            connection,
            limits.due(now(connection)),
            key=key,
            legal=wiring.legal_clock(settings),
            base_url=settings.base_url,
            steps=_steps(settings).names,
        )
    with named(file):
        write_new(Path(file), plan.as_text(key))
    click.echo(f"{counted(len(plan.ids), 'request')} in {file}, sha256 {plan.sha256}", err=True)


def _read_plan(settings: Settings, file: str) -> Plan:
    from forge_gdpr.run.plan import read

    try:
        with named(file):
            text = Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise click.UsageError(f"--plan {file} is no plan: it is not UTF-8 text") from None
    plan = read(text, key=wiring.subject_key(settings), max_age_h=settings.plan_max_age_h)
    plan.require_same(base_url=settings.base_url, steps=_steps(settings).names)
    return plan


def _show_preview(plan: Preview, output: str) -> None:
    if output == "json":
        echo_json(plan.as_json())
        return
    echo_table(
        ("tonight", "deadline", "requests"),
        [(g.fate, g.due_on or "not seen yet", g.count) for g in plan.groups],
        title=f"{counted(plan.due, 'request')} due; nobody was deleted, nothing was written",
    )
    if plan.checked is not None:
        echo_table(("at Forge", "due requests"), list(plan.checked.items()))
    if plan.reach is not None:
        click.echo(plan.reach.line)
    if plan.guard is not None:
        click.echo(f"the run would not start: {plan.guard}")


def _warn_of_blindness(preview: Preview) -> None:
    if not preview.reads_people and any(group.fate == "held" for group in preview.groups):
        click.echo(
            "this login may not read user ids and e-mails: a request that waits because another"
            " one of its person is on hold may be counted as due",
            err=True,
        )


def _show_summary(summary: Summary, output: str) -> None:
    if output == "json":
        echo_json(summary.as_json())
        return
    click.echo(f"run {summary.run_id}")
    outcomes = [(outcome.value, count) for outcome, count in sorted(summary.outcomes.items())]
    if outcomes:
        echo_table(("outcome", "requests"), outcomes)
    click.echo(summary.sums.line)
    if summary.not_as_planned:
        click.echo(_not_as_planned(summary.not_as_planned))
    if summary.reviewed_before:
        click.echo(
            f"{summary.reviewed_before} more came to need review, because runs died over them: see"
            " 'forge-gdpr requests list --status review'"
        )
    speed = (
        f"{summary.done} done in {summary.elapsed_s:.1f} s"
        f" ({summary.per_second:.1f} requests a second, {summary.calls} calls); "
    )
    click.echo(
        f"{speed if summary.sums.total else ''}{summary.left} still due;"
        f" next deadline {summary.next_due_on or 'none'}"
    )
    if summary.set_aside:
        click.echo(
            f"{counted(summary.set_aside, 'request')} in review without an attempt, because the row"
            " can't be read: see 'requests list --status review'"
        )
    if summary.checkpoint is None:
        click.echo("the record is not signed: see 'forge-gdpr audit keygen'")
    else:
        click.echo(f"checkpoint of the record:\n{indent(summary.checkpoint, '  ').rstrip()}")
    if summary.not_copied is not None:
        click.echo(f"warning: {summary.not_copied}")
    if summary.at_risk:
        click.echo(
            f"{counted(summary.at_risk, 'open request')} late, or will be: see 'requests list'"
        )


def _not_as_planned(request_ids: Sequence[int]) -> str:
    from forge_gdpr.desk.explanations import numbered

    was, it = ("was", "it") if len(request_ids) == 1 else ("were", "them")
    return (
        f"{numbered(request_ids)} {was} changed after the plan was made, so nobody was called for"
        f" {it}: look at {it}, then make a new plan with 'forge-gdpr run --dry-run --plan FILE'"
    )


@contextmanager
def _signals() -> Iterator[Stop]:
    """Note the first SIGTERM, SIGINT or SIGHUP; a second one stops at once, as safe as a crash.

    But not a second SIGHUP: a terminal that is closed sends it, and so do its shell and systemd.
    Who started the run with nohup wants none.
    """
    from forge_gdpr.run.nightly import Stop

    stop = Stop()

    def note(signum: int, _frame: FrameType | None) -> None:
        stop.signal = signum
        for each in before:
            signal.signal(each, signal.SIG_IGN if each == signal.SIGHUP else signal.SIG_DFL)

    noted = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        noted.append(signal.SIGHUP)
    before = {each: signal.getsignal(each) for each in noted}
    for each in noted:
        signal.signal(each, note)
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal."""
    if quiet:
        yield lambda _done, _due: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("erasing", total=None, visible=False)
        yield lambda done, due: bar.update(task, completed=done, total=due, visible=due > 0)
