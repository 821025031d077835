"""README against reality.

`PYTHONPATH=tests python tests/acceptance/test_readme.py` writes its blocks anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import world
from desk_session import session

from forge_gdpr import options, outcomes
from forge_gdpr.cli import main
from forge_gdpr.errors import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def block(name: str, text: str) -> str:
    found = re.search(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found is not None
    return found[1]


def settings_table() -> str:
    lines = ["| variable | default | |", "| --- | --- | --- |"]
    for option in options.OPTIONS:
        default = option.default
        shown = (
            "none"
            if default is None
            else f"`{default:g}`"
            if isinstance(default, float)
            else (f"`{str(default).lower() if isinstance(default, bool) else default}`")
        )
        also = " Secret." if option.secret else ""
        within = f" ({option.range})" if option.range else ""
        lines.append(f"| `{option.variable}` | {shown} | {option.help}{also}{within} |")
    return "\n".join(lines) + "\n"


def codes_table() -> str:
    lines = ["| code | name | meaning |", "| --- | --- | --- |"]
    lines += [f"| {int(code)} | {code.name} | {said} |" for code, said in MEANINGS.items()]
    return "\n".join(lines) + "\n"


def outcomes_table() -> str:
    lines = ["| outcome | in words | seen | the request |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{outcome}` | {meaning.name} | {meaning.seen} | {meaning.becomes} |"
        for outcome, meaning in outcomes.MEANINGS.items()
    ]
    return "\n".join(lines) + "\n"


def commands(group: Any, *names: str) -> Iterator[tuple[str, str]]:
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            first = (command.help or "").split("\n\n")[0].replace("\n", " ")
            yield " ".join((*names, name)), first


def commands_table() -> str:
    lines = ["| command | does |", "| --- | --- |"]
    lines += [f"| `{name}` | {said} |" for name, said in commands(main)]
    return "\n".join(lines) + "\n"


def told(text: str) -> str:
    """Return the demo's story without what differs from night to night."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<run id>", text)
    text = re.sub(r"v1:[0-9a-f]{8}:[0-9a-f]{64}", "<pseudonym>", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "<hash>", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?([+]00:00)?", "<time>", text)
    text = re.sub(r"20(?!99)\d\d-\d\d-\d\d", "<date>", text)
    text = re.sub(r"(subject key +|\(key )[0-9a-f]{8}", r"\1<key id>", text)
    text = re.sub(r"[\d,.]+ GiB free|\d+ s from", "<n>", text)
    text = re.sub(r"in \d+\.\d s \(\d+\.\d requests", "in <n> s (<n> requests", text)
    text = re.sub(r" {2,}", "  ", re.sub(r"[─━]+", "─", text))
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def demo() -> str:
    told = world.demo().stdout
    return re.sub(r"/\S+/forge-gdpr-demo-\w+", "/var/lib/demo", told).strip()


BLOCKS = {
    "settings": settings_table,
    "exit codes": codes_table,
    "commands": commands_table,
    "outcomes": outcomes_table,
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_table_says_what_the_program_says(name: str) -> None:
    assert block(name, README.read_text()) == BLOCKS[name]()


def test_the_recorded_session_is_the_demos() -> None:
    recorded = block("demo", README.read_text()).strip("`\n")
    assert told(recorded) == told(demo())


def test_the_recorded_day_at_the_desk_is_the_real_one() -> None:
    recorded = block("desk", README.read_text()).strip("`\n")
    assert told(recorded) == told(session())


def test_every_file_that_is_named_exists() -> None:
    for name in re.findall(r"`?(cron/[\w.-]+)`?", README.read_text()):
        assert (ROOT / name).exists()


def rewrite() -> None:
    text = README.read_text()
    recorded = {
        "demo": lambda: f"```\n{demo()}\n```\n",
        "desk": lambda: f"```\n{session()}\n```\n",
    }
    for name, made in (BLOCKS | recorded).items():
        before, rest = text.split(f"<!-- {name} -->\n")
        text = (
            f"{before}<!-- {name} -->\n{made()}<!-- /{name} -->"
            + rest.split(f"<!-- /{name} -->")[1]
        )
    README.write_text(text)


if __name__ == "__main__":
    rewrite()
