"""Every setting, declared once."""

import pytest

from forge_gdpr import options
from forge_gdpr.identifiers import FORGE_ID
from forge_gdpr.options import OPTIONS, Option

#: The contract's table: variable, default; then the range.
DECLARED = {
    "FORGE_GDPR_DATABASE_URL": ("sqlite:///forge-gdpr.db", ""),
    "FORGE_GDPR_API_KEY": (None, ""),
    "FORGE_GDPR_BASE_URL": ("https://api.runalloy.com/forge/2021-12", ""),
    "FORGE_GDPR_SUBJECT_KEY": (None, ""),
    "FORGE_GDPR_USER_ID_PATTERN": ("[0-9a-fA-F]{24}", ""),
    "FORGE_GDPR_SENTINEL_USER_ID": (None, ""),
    "FORGE_GDPR_LIST_IGNORES": (None, ""),
    "FORGE_GDPR_REFERENCE_PATTERN": (
        "(?:[A-Za-z]{1,10}[-_#/])?[A-Z]{0,10}#?[0-9]{1,8}(?:[-/._][0-9]{1,8}(?:T[0-9]{6}Z)?)?",
        "",
    ),
    "FORGE_GDPR_SIGNING_KEY": (None, ""),
    "FORGE_GDPR_PUBLIC_KEY_FILE": (None, ""),
    "FORGE_GDPR_CHECKPOINT_FILE": (None, ""),
    "FORGE_GDPR_PROXY": (None, ""),
    "FORGE_GDPR_CA_FILE": (None, ""),
    "FORGE_GDPR_CONCURRENCY": (8, "1 to 64"),
    "FORGE_GDPR_RATE": (20.0, "0 to 100000"),
    "FORGE_GDPR_BATCH": (100, "1 to 10000"),
    "FORGE_GDPR_CONNECT_TIMEOUT_S": (5.0, "0.1 to 600"),
    "FORGE_GDPR_READ_TIMEOUT_S": (15.0, "0.1 to 600"),
    "FORGE_GDPR_TOTAL_TIMEOUT_S": (30.0, "0.1 to 3600"),
    "FORGE_GDPR_TRIES": (4, "1 to 20"),
    "FORGE_GDPR_MAX_ATTEMPTS": (30, "1 to 10000"),
    "FORGE_GDPR_LEASE_S": (120.0, "1 to 86400"),
    "FORGE_GDPR_DATABASE_PATIENCE_S": (120.0, "0 to 86400"),
    "FORGE_GDPR_BREAKER": (20, "1 to 100000"),
    "FORGE_GDPR_COOL_OFF_DAYS": (0, "0 to 365"),
    "FORGE_GDPR_MAX_RUNTIME_S": (10_800.0, "1 to 604800"),
    "FORGE_GDPR_MAX_DUE": (1000, "1 to 1000000000"),
    "FORGE_GDPR_MAX_SHARE": (0.0, "0 to 1"),
    "FORGE_GDPR_SPIKE_FACTOR": (0.0, "0 to 1000000"),
    "FORGE_GDPR_CANARY": (3, "0 to 1000"),
    "FORGE_GDPR_ACTOR": (None, ""),
    "FORGE_GDPR_REQUIRE_APPROVAL": (False, ""),
    "FORGE_GDPR_SHARED_LOGIN": (False, ""),
    "FORGE_GDPR_PLAN_MAX_AGE_H": (24.0, "0 to 8760"),
    "FORGE_GDPR_TIMEZONE": ("UTC", ""),
    "FORGE_GDPR_HOLIDAYS": (None, ""),
    "FORGE_GDPR_MAX_AGE_H": (26.0, "0.1 to 8760"),
    "FORGE_GDPR_VERIFIED_WITHIN_D": (8.0, "0.1 to 3660"),
    "FORGE_GDPR_RETAIN_IDS_DAYS": (30, "0 to 36500"),
    "FORGE_GDPR_RETAIN_REQUESTS_MONTHS": (36, "1 to 1200"),
    "FORGE_GDPR_ERASE_LOGS": (False, ""),
    "FORGE_GDPR_VERIFY": (False, ""),
    "FORGE_GDPR_LOG_FORMAT": ("auto", ""),
    "FORGE_GDPR_LOG_LEVEL": ("info", ""),
}


def test_the_settings_are_the_contracts() -> None:
    assert {option.variable: (option.default, option.range) for option in OPTIONS} == DECLARED


def test_a_default_has_the_type_of_its_setting() -> None:
    for option in OPTIONS:
        assert type(option.default) is type(DECLARED[option.variable][0]), option.name


def test_each_setting_is_declared_once_under_its_own_name() -> None:
    assert len({option.name for option in OPTIONS}) == len(OPTIONS)
    assert all(getattr(options, option.name.upper()) is option for option in OPTIONS)


def test_what_may_hold_a_password_is_secret() -> None:
    assert [option.name for option in OPTIONS if option.secret] == [
        "database_url",
        "api_key",
        "subject_key",
        "signing_key",
        "proxy",
    ]


def test_every_default_is_in_its_range() -> None:
    for option in OPTIONS:
        if isinstance(option.default, int | float):
            low = option.default if option.minimum is None else option.minimum
            high = option.default if option.maximum is None else option.maximum
            assert low <= option.default <= high, option.name


def test_the_default_pattern_is_the_one_whose_faults_are_explained() -> None:
    assert options.USER_ID_PATTERN.default == FORGE_ID


def test_a_lease_outlives_a_try() -> None:
    assert isinstance(options.LEASE_S.default, float)
    assert isinstance(options.TOTAL_TIMEOUT_S.default, float)
    assert options.LEASE_S.default > options.TOTAL_TIMEOUT_S.default


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_help_is_one_line_with_a_full_stop(option: Option) -> None:
    assert option.help.endswith(".")
    assert "\n" not in option.help


@pytest.mark.parametrize(
    ("minimum", "maximum", "told"),
    [
        pytest.param(None, None, "", id="no limit"),
        pytest.param(0, 0.5, "0 to 0.5", id="from both sides"),
        pytest.param(0, 0, "0 to 0", id="zero is a limit"),
    ],
)
def test_a_range_is_told_as_people_write_it(
    minimum: float | None, maximum: float | None, told: str
) -> None:
    assert Option(name="x", help="X.", minimum=minimum, maximum=maximum).range == told


@pytest.mark.parametrize(
    ("option", "form"),
    [
        (options.VERIFY, "true or false"),
        (options.CONCURRENCY, "a whole number from 1 to 64"),
        (options.MAX_SHARE, "a number from 0 to 1"),
        (options.LOG_FORMAT, "auto, json or console"),
        (options.BASE_URL, "text"),
    ],
    ids=lambda value: value.name if isinstance(value, Option) else "",
)
def test_what_can_be_written_is_said(option: Option, form: str) -> None:
    assert option.form == form


def test_a_secret_has_a_file_and_everything_a_credential() -> None:
    assert options.API_KEY.file_variable == "FORGE_GDPR_API_KEY_FILE"
    assert options.RATE.file_variable is None
    assert options.RATE.credential == "forge_gdpr_rate"
    assert {"FORGE_GDPR_RATE", "FORGE_GDPR_API_KEY_FILE"} < options.NAMES
    assert "FORGE_GDPR_RATE_FILE" not in options.NAMES


def test_no_value_of_the_template_ends_its_own_quotation_marks() -> None:
    lines = [line for line in options.template().splitlines() if "FORGE_GDPR_" in line]
    assert all(line.count("'") == 2 for line in lines if "='" in line)
    assert len([line for line in lines if "='" in line]) == len(OPTIONS) + 1  # the head's NAME


def test_a_plain_option_has_no_default_and_no_secret() -> None:
    assert Option(name="x_y", help="X.") == Option(
        name="x_y", help="X.", default=None, minimum=None, maximum=None, secret=False
    )
    assert Option(name="x_y", help="X.").variable == "FORGE_GDPR_X_Y"
