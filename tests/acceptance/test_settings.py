"""Settings that are wrong are said in one line (exit code 3), before anybody is claimed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from terminal import at_terminal
from world import KEY, SUBJECT_KEY, Program, fetch, insert, make_program

from forge_gdpr import options
from forge_gdpr.sandbox import generated_user
from forge_gdpr.settings import Settings, exposed, unknown_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine

    from forge_gdpr.sandbox import Sandbox

CRON: Final = Path(__file__).parents[2] / "cron"
UNSHARE: Final = shutil.which("unshare")
SECRET: Final = "hunter2"  # noqa: S105  # nobody's


def refusal(program: Program, *words: str, **variables: str) -> str:
    """Return the one line of a command that ends with exit code 3 and has done nothing."""
    done = program.here(*words, **variables)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1), done.stderr
    assert SECRET not in done.stderr
    return done.stderr.removeprefix("error: ").rstrip("\n")


# Names


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("REQUIRE_APROVAL", "did you mean FORGE_GDPR_REQUIRE_APPROVAL?"),
        ("APIKEY", "did you mean FORGE_GDPR_API_KEY?"),
        ("API_KEY_FIEL", "did you mean FORGE_GDPR_API_KEY_FILE?"),
        (
            "BASE_URL_FILE",
            "only a secret can be in a file of its own, so write FORGE_GDPR_BASE_URL",
        ),
        ("BLURB", "'forge-gdpr settings --output env' lists all"),
    ],
)
def test_an_unknown_name_is_refused_before_anybody_is_claimed(
    program: Program, engine: Engine, sandbox: Sandbox, name: str, said: str
) -> None:
    insert(engine, {"forge_user_id": generated_user(0).id})
    line = refusal(program, "run", **{f"FORGE_GDPR_{name}": SECRET})
    assert line == f"FORGE_GDPR_{name} is not a setting: {said}"
    assert fetch(engine, "SELECT status, attempts FROM deletion_requests") == [("pending", 0)]
    assert not sandbox.seen
    done = program.here("doctor", **{f"FORGE_GDPR_{name}": SECRET})
    assert (done.returncode, line in done.stdout, done.stderr) == (3, True, "")


@pytest.mark.parametrize(
    ("names", "faults"),
    [
        (["FORGE_GDPR_RATE", "FORGE_GDPR_API_KEY_FILE", "PATH", "FORGE_TOKEN"], []),
        (["FORGE_GRPC_URL", "FORGE_API_KEY", "GDPR_MODE", "FORGE"], []),
        (
            ["forge_gdpr_rate", "FORGE_GDPR_"],
            [
                "FORGE_GDPR_ is not a setting: 'forge-gdpr settings --output env' lists all",
                "forge_gdpr_rate is not a setting: did you mean FORGE_GDPR_RATE?",
            ],
        ),
        (
            ["FORGE_GPDR_VERIFY", "FORGE-GDPR-RATE", "FORGEGDPR_RATE"],
            [
                "FORGE-GDPR-RATE is not a setting: did you mean FORGE_GDPR_RATE?",
                "FORGEGDPR_RATE is not a setting: did you mean FORGE_GDPR_RATE?",
                "FORGE_GPDR_VERIFY is not a setting: did you mean FORGE_GDPR_VERIFY?",
            ],
        ),
        (
            ["FORGE_GDPR_RATE\n\udce4"],
            ["FORGE_GDPR_RATE\\n\\udce4 is not a setting: did you mean FORGE_GDPR_RATE?"],
        ),
        # What Kubernetes sets in every pod beside a Service of such a name.
        (
            [
                *("FORGE_GDPR_SERVICE_HOST", "FORGE_GDPR_SERVICE_PORT", "FORGE_GDPR_PORT"),
                *("FORGE_GDPR_PORT_80_TCP", "FORGE_GDPR_PORT_80_TCP_ADDR"),
            ],
            [],
        ),
        (
            ["FORGE_GDPR_PORT"],
            ["FORGE_GDPR_PORT is not a setting: 'forge-gdpr settings --output env' lists all"],
        ),
    ],
)
def test_only_what_is_meant_for_this_program_is_looked_at(
    names: list[str], faults: list[str]
) -> None:
    assert list(unknown_names(names)) == faults


def test_an_unknown_credential_is_refused(program: Program, tmp_path: Path) -> None:
    (tmp_path / "forge_gdpr_api_kye").write_text(SECRET)
    (tmp_path / "..data").mkdir()
    (tmp_path / "of-another-program").write_text(SECRET)
    line = refusal(program, "users", "list", CREDENTIALS_DIRECTORY=str(tmp_path))
    assert line == (
        "the credential forge_gdpr_api_kye is not a setting: did you mean forge_gdpr_api_key?"
    )
    line = refusal(program, "users", "list", CREDENTIALS_DIRECTORY="/nonexistent")
    assert line == "CREDENTIALS_DIRECTORY names /nonexistent, which does not exist"


# Values


def test_a_base_url_that_is_only_odd_leads_to_forge(
    program: Program, engine: Engine, sandbox: Sandbox
) -> None:
    odd = sandbox.url.replace("http://", "HTTP://").replace("/forge/", "//forge//") + "/\r\n"
    insert(engine, {"forge_user_id": generated_user(0).id})
    done = program.here("run", FORGE_GDPR_BASE_URL=odd)
    assert (done.returncode, done.stderr) == (0, "")
    assert fetch(engine, "SELECT status FROM deletion_requests") == ["done"]


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("/../2021-12", "has a /./ or /../ in its path"),
        ("?", "has a ? or # in it"),
        ("#", "has a ? or # in it"),
        (f"?key={SECRET}", "has a ? or # in it"),
        ("\\x", "a backslash"),
        ("/a\r\nX-Evil: 1", "a character in it that can't be printed (U+000D)"),
        (" /a", "a blank"),
        ("/%2e%2e", "in its path"),
    ],
)
def test_a_base_url_that_leads_elsewhere_is_refused_before_anybody_is_claimed(
    program: Program, engine: Engine, sandbox: Sandbox, end: str, reason: str
) -> None:
    insert(engine, {"forge_user_id": generated_user(0).id})
    line = refusal(program, "run", FORGE_GDPR_BASE_URL=sandbox.url + end)
    assert line.startswith("FORGE_GDPR_BASE_URL has a")
    assert reason in line
    assert fetch(engine, "SELECT status, attempts FROM deletion_requests") == [("pending", 0)]
    assert not sandbox.seen
    done = program.here("doctor", FORGE_GDPR_BASE_URL=sandbox.url + end)
    assert (done.returncode, line in done.stdout, done.stderr) == (3, True, "")


def test_every_value_that_is_wrong_is_explained_in_one_line(tmp_path: Path) -> None:
    program = make_program(tmp_path, FORGE_GDPR_API_KEY=KEY)
    for name, value, line in (
        ("BASE_URL", f"https://u:{SECRET}@h.example", "has a user or password in it (an @)"),
        ("BASE_URL", "https://h.example:99999", "has a port that is not a number from 1 to 65535"),
        ("BASE_URL", "https://bücher.example", "if you mean xn--bcher-kva.example, write that"),
        ("BASE_URL", "ftp://h.example", "is not an address like https://api.runalloy.com/forge/"),
        ("BASE_URL", "http://h.example", "is plain http, which is only for this machine"),
        ("PROXY", f"socks5://u:{SECRET}@h", "is not an address like http://proxy.example:3128"),
        ("API_KEY", f"Bearer {SECRET}", "begins with 'Bearer ', which is added to it"),
        ("API_KEY", f"bearer {SECRET}", "begins with 'Bearer ', which is added to it"),
        ("API_KEY", f"{SECRET} {SECRET}", "has a blank or a letter beyond ASCII in it"),
        ("API_KEY", f"{SECRET}é", "has a blank or a letter beyond ASCII in it"),
        ("API_KEY", f"{SECRET}\r\nX: 1", "has a character in it that can't be printed (U+000D)"),
        ("API_KEY", f"'{SECRET}'", "has quotation marks around it: remove them"),
        ("API_KEY", " ", "is blank: write a value, or remove it"),
        ("DATABASE_URL", '"sqlite:///x.db"', "has quotation marks around it: remove them"),
        ("RATE", "fast", "=fast is wrong: write a number from 0 to 100000"),
        ("RATE", "nan", "=nan is wrong: write a number from 0 to 100000"),
        ("RATE", "-1", "=-1 is wrong: write a number from 0 to 100000"),
        ("CONCURRENCY", "65", "=65 is wrong: write a whole number from 1 to 64"),
        ("CONCURRENCY", "2.5", "=2.5 is wrong: write a whole number from 1 to 64"),
        ("CONCURRENCY", "9" * 5000, f"={'9' * 40} is wrong: write a whole number from 1 to 64"),
        ("VERIFY", "ture", "=ture is wrong: write true or false"),
        ("LOG_LEVEL", "verbose", "=verbose is wrong: write debug, info, warning or error"),
        ("ACTOR", "Zoë", "has a character in it that is not printable ASCII"),
        ("ACTOR", "a\nb", "has a character in it that can't be printed (U+000A)"),
        ("ACTOR", "a" * 65, "is longer than 64 characters: shorten it"),
        ("LOG_FORMAT", "yaml", "=yaml is wrong: write auto, json or console"),
    ):
        told = refusal(program, "users", "list", **{f"FORGE_GDPR_{name}": value})
        assert told.startswith(f"FORGE_GDPR_{name}"), told
        assert line in told
    two = {"FORGE_GDPR_RATE": "fast", "FORGE_GDPR_TRIES": "0", "FORGE_GDPR_VERIFY": "ture"}
    assert refusal(program, "users", "list", **two).endswith("; 2 other settings are wrong, too")
    two.pop("FORGE_GDPR_VERIFY")
    assert refusal(program, "users", "list", **two).endswith("; 1 other setting is wrong, too")


def test_windows_line_ends_do_no_harm(program: Program, engine: Engine, tmp_path: Path) -> None:
    insert(engine, {"forge_user_id": generated_user(0).id})
    key = tmp_path / "key"
    key.write_bytes(b"\xef\xbb\xbf" + KEY.encode() + b"\r\n")
    key.chmod(0o600)
    ended = {name: f"{value}\r" for name, value in program.environment.items() if "GDPR" in name}
    ended |= {"FORGE_GDPR_VERIFY": "true\r", "FORGE_GDPR_API_KEY": ""}
    done = program.here("run", FORGE_GDPR_API_KEY_FILE=f"{key}\r", **ended)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_choices_are_those_of_the_settings() -> None:
    for option in options.OPTIONS:
        if option.choices:
            kind = Settings.model_fields[option.name].annotation
            assert option.choices == getattr(kind, "__args__", None), option.name


# The database's URL


def test_without_a_terminal_the_database_must_be_named(sandbox: Sandbox, tmp_path: Path) -> None:
    bare = make_program(tmp_path, FORGE_GDPR_BASE_URL=sandbox.url, FORGE_GDPR_API_KEY=KEY)
    for words in (["run"], ["db", "upgrade"], ["status"], ["requests", "list"]):
        assert "FORGE_GDPR_DATABASE_URL is not set" in refusal(bare, *words)
    doctor = bare.here("doctor")
    assert (doctor.returncode, "FORGE_GDPR_DATABASE_URL is not set" in doctor.stdout) == (3, True)
    assert list(tmp_path.iterdir()) == []
    assert bare.here("users", "list").returncode == 0
    assert bare.here("run", "--help").returncode == 0
    assert bare.here("settings").returncode == 0


def test_at_a_terminal_the_default_database_is_in_this_folder(tmp_path: Path) -> None:
    bare = make_program(tmp_path)
    assert at_terminal(bare, "db", "upgrade").code == 0
    piped, log = tmp_path / "piped", tmp_path / "log"
    assert at_terminal(bare, "db", "current", stdout=piped, stderr=log).code == 0
    assert (tmp_path / "forge-gdpr.db").exists()


@pytest.mark.parametrize("quoted", [True, False])
def test_a_shell_that_swallows_a_url_is_noticed(tmp_path: Path, *, quoted: bool) -> None:
    """An & ends a shell's command, and what was before it is set nowhere."""
    url = f"postgresql://nobody:{SECRET}@127.0.0.1:1/x?sslmode=disable&application_name=x"
    text = f"FORGE_GDPR_DATABASE_URL={shlex.quote(url) if quoted else url}\n"
    (tmp_path / "environment").write_text(text)
    bare = make_program(tmp_path, FORGE_GDPR_API_KEY=KEY)
    done = subprocess.run(
        ["/bin/sh", "-c", f"set -a; . ./environment; {shlex.join(bare.command('run'))}"],
        env=bare.environment,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    said = (
        "database postgresql://127.0.0.1:1/x can't be reached"
        if quoted
        else "is not set, and without a"
    )
    assert (done.returncode, said in done.stderr) == (4 if quoted else 3, True), done.stderr
    assert (done.stderr.count("\n"), SECRET in done.stderr) == (1, False)
    assert not (tmp_path / "forge-gdpr.db").exists()


@pytest.mark.parametrize(
    ("url", "code", "shown"),
    [
        (f"postgresql://u:{SECRET}@127.0.0.1:1/x", 4, "postgresql://127.0.0.1:1/x"),
        (f"postgresql://127.0.0.1:1/x?password={SECRET}", 4, "postgresql://127.0.0.1:1/x"),
        (f"postgresql:///x?host=/none&user=u&password={SECRET}", 4, "postgresql:///x?host="),
        (f"postgresql://u:p@{SECRET}@127.0.0.1:1/x", 3, "as %40 and %3F"),
        (f"postgresql://u:@/{SECRET}@127.0.0.1:1/x", 3, "as %40 and %3F"),
        (f"postgresql://u/s:{SECRET}@127.0.0.1:1/x", 3, "as %40 and %3F"),
        (f"postgresql://127.0.0.1:1/x?password=p@{SECRET}", 3, "as %40 and %3F"),
        (f"postgresql://u:p%40{SECRET}@127.0.0.1:1/x", 4, "postgresql://127.0.0.1:1/x"),
        (f"mysql://u:{SECRET}@127.0.0.1/x", 3, "only sqlite and postgresql"),
        (f"{SECRET}", 3, "is not a database URL"),
    ],
)
def test_a_database_password_is_never_shown(
    tmp_path: Path, url: str, code: int, shown: str
) -> None:
    program = make_program(tmp_path, FORGE_GDPR_DATABASE_URL=url, FORGE_GDPR_API_KEY=KEY)
    for words in (["--verbose", "run"], ["db", "check"], ["doctor", "--offline"], ["settings"]):
        done = program.here(*words)
        assert SECRET not in done.stdout + done.stderr
        assert done.returncode == (0 if words == ["settings"] and code == 4 else code)
        assert shown in done.stdout + done.stderr, words


# Secrets in files

MOUNTED: Final = (
    "others may read, and which is on a read-only mount: where it is mounted from, run"
    " 'chown 1001 FILE && chmod 600 FILE', or 'chown root FILE && chmod 444 FILE'"
)


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        ({"mode": 0o600, "owner": 1000, "user": 1000, "read_only": False}, None),
        ({"mode": 0o644, "owner": 0, "user": 1000, "read_only": True}, None),
        ({"mode": 0o440, "owner": 0, "user": 0, "read_only": True}, None),
        (
            {"mode": 0o644, "owner": 1000, "user": 1000, "read_only": False},
            "others may read: run 'chmod 600 /s/key'",
        ),
        (
            {"mode": 0o640, "owner": 1000, "user": 0, "read_only": False},
            "others may read: run 'chmod 600 /s/key'",
        ),
        (
            {"mode": 0o640, "owner": 0, "user": 1000, "read_only": False},
            "others may read: run 'sudo chown 1000 /s/key && sudo chmod 600 /s/key'",
        ),
        (
            {"mode": 0o644, "owner": 1000, "user": 1001, "read_only": True},
            MOUNTED,
        ),
        (
            {"mode": 0o666, "owner": 0, "user": 1001, "read_only": True},
            MOUNTED,
        ),
    ],
)
def test_a_secret_is_its_readers_alone_or_a_containers(
    file: Mapping[str, Any], fault: str | None
) -> None:
    assert exposed(Path("/s/key"), **file) == fault


@pytest.mark.skipif(UNSHARE is None or os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("read_only", [True, False])
def test_a_container_reads_the_secrets_that_it_is_given(
    sandbox: Sandbox, tmp_path: Path, *, read_only: bool
) -> None:
    """A file of root's, mode 0444, read by somebody else: so Docker mounts a secret."""
    bare = make_program(
        tmp_path,
        FORGE_GDPR_BASE_URL=sandbox.url,
        FORGE_GDPR_API_KEY_FILE=str(tmp_path / "secrets" / "key"),
    )
    (tmp_path / "secrets").mkdir()
    script = (
        "mount -t tmpfs none secrets && printf %s "
        + KEY
        + " > secrets/key && chmod 444 secrets/key"
        f" && mount -o remount,{'ro' if read_only else 'rw'} none secrets"
        f" && exec {shlex.join(bare.command('users', 'list'))}"
    )
    done = subprocess.run(
        [str(UNSHARE), "--mount", "/bin/sh", "-c", script],
        env=bare.environment,
        cwd=tmp_path,
        capture_output=True,
        check=False,
        text=True,
    )
    if "permission denied" in done.stderr:
        pytest.skip("no mount can be made here")
    assert (done.returncode, "chmod 600" in done.stderr) == ((0, False) if read_only else (3, True))


def test_a_secret_that_cannot_be_read_is_explained(tmp_path: Path) -> None:
    program = make_program(tmp_path, FORGE_GDPR_API_KEY="")
    (tmp_path / "folder").mkdir()
    for name, content, said in (
        ("none", None, "names none, which does not exist"),
        ("folder", None, "names folder, which is a folder"),
        ("empty", b" \n", "names empty, which is empty"),
        ("packed", b"\xff\xfe\x00", "names packed, which is not UTF-8 text"),
        ("two", b"a\nb", "has a character in it that can't be printed (U+000A): remove it"),
        ("folder/none/x", None, "names folder/none/x, which does not exist"),
        ("two/x", None, "names two/x, which can't be read (Not a directory)"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
            (tmp_path / name).chmod(0o600)
        assert said in refusal(program, "users", "list", FORGE_GDPR_API_KEY_FILE=name)


def test_two_places_for_a_secret_must_agree(program: Program, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "key").chmod(0o600)
    both = {"FORGE_GDPR_API_KEY_FILE": "key"}
    assert program.here("users", "list", FORGE_GDPR_API_KEY=f"{KEY} ", **both).returncode == 0
    assert refusal(program, "users", "list", FORGE_GDPR_API_KEY=SECRET, **both) == (
        "FORGE_GDPR_API_KEY and FORGE_GDPR_API_KEY_FILE are both set, and differ: remove one"
    )


# The command


def test_every_setting_is_shown_with_its_value_and_where_it_comes_from(
    program: Program, tmp_path: Path
) -> None:
    for name in ("signing-key", "forge_gdpr_proxy", "forge_gdpr_max_due"):
        (tmp_path / name).write_text("7\n" if "max" in name else f"http://u:{SECRET}@h\n")
        (tmp_path / name).chmod(0o600)
    variables = {
        "FORGE_GDPR_SIGNING_KEY_FILE": "signing-key",
        "FORGE_GDPR_VERIFY": "1",
        "FORGE_GDPR_RATE": "2.50",
        "FORGE_GDPR_CA_FILE": "ca.pem",
        "FORGE_GDPR_SENTINEL_USER_ID": "",
        "CREDENTIALS_DIRECTORY": str(tmp_path),
    }
    done = program.here("settings", "--output", "json", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["format_version"] == 1
    rows = {row.pop("name"): tuple(row.values()) for row in told["settings"]}
    assert list(rows) == [option.variable for option in options.OPTIONS]
    folder = str(tmp_path)
    expected = {
        "API_KEY": ("********", "environment", None),
        "SUBJECT_KEY": ("********", "environment", None),
        "SIGNING_KEY": ("********", "file", "signing-key"),
        "PROXY": ("********", "credential", f"{folder}/forge_gdpr_proxy"),
        "MAX_DUE": (7, "credential", f"{folder}/forge_gdpr_max_due"),
        "VERIFY": (True, "environment", None),
        "RATE": (2.5, "environment", None),
        "CA_FILE": ("ca.pem", "environment", None),
        "SENTINEL_USER_ID": (None, "default", None),
        "TRIES": (4, "default", None),
    }
    for name, row in expected.items():
        assert rows[f"FORGE_GDPR_{name}"] == row, name
    table = program.here("settings", **variables).stdout
    for text in ("VERIFY", "true", "2.5", f"credential {folder}/forge_gdpr_max_due"):
        assert text in table
    for secret in (SECRET, KEY, SUBJECT_KEY.secret.decode()):
        assert secret not in done.stdout + table


def test_the_example_is_what_the_program_writes() -> None:
    bare = Program(environment={"PATH": os.environ["PATH"]}, folder=CRON)
    done = bare.here("settings", "--output", "env", FORGE_GDPR_NONSENSE="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert (CRON / "environment.example").read_text() == done.stdout


def test_a_shell_reads_the_template_as_it_is_meant(tmp_path: Path) -> None:
    """Also with every line in it that is commented out, which then changes nothing."""
    text = options.template()
    show = (
        f"{shlex.quote(sys.executable)} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    )
    for every in (False, True):
        (tmp_path / "environment").write_text(
            text.replace("\n#FORGE", "\nFORGE") if every else text
        )
        done = subprocess.run(
            ["/bin/sh", "-c", f"set -a; . ./environment; {show}"],
            env={},
            cwd=tmp_path,
            capture_output=True,
            check=True,
            text=True,
        )
        values = {k: v for k, v in json.loads(done.stdout).items() if k in options.NAMES}
        assert values["FORGE_GDPR_DATABASE_URL"] == "sqlite:////var/lib/forge-gdpr/forge-gdpr.db"
        assert values.pop("FORGE_GDPR_API_KEY_FILE") == "/etc/forge-gdpr/api-key"
        assert len(values) == (len(options.OPTIONS) - 1 if every else 1)
        told = make_program(tmp_path).here("settings", "--output", "json", **values)
        assert told.returncode == 0, told.stderr
        for row in json.loads(told.stdout)["settings"]:
            option = next(o for o in options.OPTIONS if o.variable == row["name"])
            if not option.secret:
                assert row["value"] == option.default


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero"])
def test_a_device_is_no_secret(tmp_path: Path, path: str) -> None:
    done = make_program(tmp_path, FORGE_GDPR_API_KEY_FILE=path).here("users", "list")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert f"names {path}, which is no file but a device" in done.stderr


def test_a_secret_is_never_cut(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY + " " * 2**20 + "x")
    file.chmod(0o600)
    done = make_program(tmp_path, FORGE_GDPR_API_KEY_FILE=str(file)).here("users", "list")
    assert (done.returncode, "too long for a secret" in done.stderr) == (3, True)


def test_a_scheme_is_no_key(tmp_path: Path) -> None:
    done = make_program(tmp_path, FORGE_GDPR_API_KEY="Bearer ").here("users", "list")
    assert (done.returncode, "begins with 'Bearer '" in done.stderr) == (3, True)
