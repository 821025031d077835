"""The sandbox as a program: accounts and pages from the command line."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click import Choice
from world import make_program

from forge_gdpr.cli.sandbox import sandbox_command
from forge_gdpr.sandbox import FaultKind, Hint, generated_user, parse_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parents[2] / "README.md"


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[str]:
    """Run the command on a free port; its base URL."""
    process = make_program(folder).start("sandbox", "--port", "0", *arguments)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        yield line.split()[1].removeprefix("FORGE_GDPR_BASE_URL=")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 0


def listed(url: str, key: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{url}/user", headers={"Authorization": f"bearer {key}"})  # noqa: S310  loopback
    with urllib.request.urlopen(request) as answer:  # noqa: S310  loopback
        body: dict[str, Any] = json.load(answer)
    return body


def test_each_account_has_the_users_it_was_given(tmp_path: Path) -> None:
    accounts = ("--account", "other=2", "--account", "with=sign==1")
    with serving(tmp_path, "--users", "3", *accounts) as url:
        keys = ("sandbox-key", "other", "with=sign=")
        lists = [[entry["_id"] for entry in listed(url, key)["data"]] for key in keys]
        assert [len(ids) for ids in lists] == [3, 2, 1]
        assert len(set().union(*lists)) == 6
        with pytest.raises(urllib.error.HTTPError, match="401"):
            listed(url, "with")


def test_the_list_comes_in_pages(tmp_path: Path) -> None:
    arguments = ("--users", "5", "--page-size", "2", "--page-hint", "has_more")
    with serving(tmp_path, *arguments) as url:
        body = listed(url, "sandbox-key")
    assert (len(body["data"]), body["hasMore"]) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--account", "other"), "'other' is not KEY=USERS, such as other-key=5"),
        (("--account", "=5"), "'=5' is not KEY=USERS, such as other-key=5"),
        (("--account", "other=many"), "'other=many' is not KEY=USERS"),
        (("--account", "other=-1"), "'other=-1' is not KEY=USERS"),
        (("--account", "a=1", "--account", "a=2"), "the key 'a' is given twice"),
        (("--account", "sandbox-key=1"), "An account has this key already"),
        (("--account", "schlüssel=1"), "An API key consists of printable ASCII characters"),
        (("--page-size", "-1"), "-1 is not in the range x>=0"),
        (("--page-hint", "more"), "'more' is not one of"),
    ],
)
def test_what_is_mistyped_is_named(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    done = make_program(tmp_path)("sandbox", "--port", "0", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in " ".join(done.stderr.split())


def test_every_hint_can_be_chosen() -> None:
    [choice] = [option.type for option in sandbox_command.params if option.name == "page_hint"]
    assert isinstance(choice, Choice)
    assert list(choice.choices) == list(Hint)


def test_the_faults_of_readme_are_faults() -> None:
    block = README.read_text().partition("<!-- faults -->")[2].partition("<!-- /faults -->")[0]
    faults = parse_faults(block.strip().removeprefix("```json").removesuffix("```"))
    assert [fault.kind for fault in faults] == [
        FaultKind.ODD_ENTRIES,
        FaultKind.LIE,
        FaultKind.STATUS,
    ]
    assert faults[1].user_id == generated_user(7).id
