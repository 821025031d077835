# Everything here sets itself up: it needs Python 3.11 or newer, and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check soak mutants format bench lock clean

demo: .venv/made
	@$(BIN)/forge-gdpr demo

test: .venv/made
	$(BIN)/pytest -q

check: .venv/made
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -q
	$(BIN)/coverage combine -q
	$(BIN)/coverage report
	$(BIN)/coverage report --fail-under=100 --include="$(PURE)" > /dev/null \
		|| { echo "a pure room is not wholly covered"; exit 1; }

# The rooms that decide: every line and branch of them is tested.
PURE_ROOMS := absence actors addresses answers certificates chain checkpoints continuity deadlines \
	desk/actions desk/explanations desk/returns exports forecast guards identifiers identity \
	lifecycle merkle options outcomes pseudonyms references retention retries run/canary \
	run/conclusions runids spreadsheet strictjson watch/findings
comma := ,
space := $(subst ,, )
PURE := $(subst $(space),$(comma),$(PURE_ROOMS:%=*/forge_gdpr/%.py))

# The long versions: thousands of kills. Takes many minutes.
soak: .venv/made
	$(BIN)/pytest -q -m soak

# Which small changes to the rooms that decide no unit test notices: see tests/mutation/README.md.
mutants: .venv/made
	$(BIN)/python tests/mutation/run.py

format: .venv/made
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/made
	$(BIN)/python tests/benchmarks/run_against_pool.py

# Exact versions with hashes, for development and for the image.
lock: .venv/made
	$(BIN)/pip install -q uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --upgrade \
		--extra postgres pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --upgrade \
		--extra postgres --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache

.venv/made: pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@
