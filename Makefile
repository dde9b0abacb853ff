# `make demo` and `make test` do their own set-up; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
OLDEST := .venv-oldest
REPORT := results/demo/report.html
OUT ?= results/gpu-check
SECONDS ?= 480
SEED ?= 0
APT := $(if $(filter 0,$(shell id -u)),,sudo -n) apt-get

.PHONY: help setup demo test test-fast test-oldest test-slurm test-latex test-browser gpu-check fuzz check lock docs site

help:  ## List the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(VENV)/ready  ## Create .venv from requirements.lock and install ltdm into it

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ltdm needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m ltdm.plumbing.host
	@echo "Setting up .venv (once; a minute or a few, about 6 GB)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip --version > /dev/null 2>&1 || \
		{ echo "programs do not start under this path; move the checkout to one of letters and digits"; exit 1; }
	@# uv needs a third of pip's time; both check the same hashes.
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	@command -v uv > /dev/null || $(PIP) --require-hashes -r $(VENV)/uv.lock > /dev/null 2>&1 || true
	@PATH="$$PATH:$(BIN)" uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes \
		-r requirements.lock > $(VENV)/uv.log 2>&1 || $(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## Run the whole workflow on real digits; print the main table, write the page
	@$(BIN)/snakemake --cores all --quiet rules
	@test -e $(REPORT) && test -z "$$(find $(addprefix results/demo/,tables figures runs) -newer $(REPORT))" \
		|| $(BIN)/snakemake --report $(REPORT) --quiet all
	@cat results/demo/tables/main.md
	@echo "Page: results/demo/index.html    Snakemake's report: $(REPORT)"

test: setup  ## All tests
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

test-fast: setup  ## Most tests of the package, in four minutes: no workflow, no Slurm, no fuzz
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow" tests/unit

# Left out is the Slurm plug-in, which asks for a newer numpy, pandas and PyYAML than ltdm does.
$(OLDEST)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
		{ echo "the oldest versions exist for Python 3.11 and 3.12; name one: make PYTHON=python3.12 test-oldest"; exit 1; }
	@echo "Setting up $(OLDEST) (once; a few minutes, about 5 GB)"
	@$(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		extras = project["optional-dependencies"]; \
		names = project["dependencies"] + extras["workflow"] + extras["tensorboard"]; \
		print(*(name.replace(">=", "==") for name in names if "slurm" not in name), sep="\n")' > $(OLDEST)/floors.txt
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -r $(OLDEST)/floors.txt -e '.[dev]'
	@touch $@

test-oldest: $(OLDEST)/ready  ## Tests of the package and of a workflow's run on the oldest dependencies allowed
	@$(OLDEST)/bin/python -m pytest -q -n 2 --dist loadfile tests/workflow/test_run.py tests/unit

test-slurm: setup  ## Tests on a real Slurm cluster on this machine (Debian, Ubuntu)
	-@test -x /usr/sbin/slurmctld -a -x /usr/sbin/munged || \
		{ $(APT) update -q && $(APT) install -q -y --no-install-recommends slurm-wlm munge; }
	@$(BIN)/python -m pytest -q -n 2 tests/slurm

test-latex: setup  ## Tests that compile the tables with a real LaTeX (Debian, Ubuntu)
	-@kpsewhich booktabs.sty > /dev/null 2>&1 || \
		{ $(APT) update -q && $(APT) install -q -y --no-install-recommends texlive-latex-recommended; }
	@$(BIN)/python -m pytest -q tests/latex

test-browser: setup  ## Tests of tables and report in Chromium, which it installs from Debian
	-@for browser in chromium chromium-browser google-chrome; do command -v $$browser && exit; done > /dev/null; \
		$(APT) update -q && $(APT) install -q -y --no-install-recommends chromium
	@$(BIN)/python -m pytest -q tests/browser

gpu-check:  ## Correctness and speed on a GPU, in eight minutes; OUT=folder SECONDS=480
	@test -x $(BIN)/python && python=$(BIN)/python || python=$(PYTHON); \
		$$python -m tests.gpu.check $(OUT) --seconds $(SECONDS)

fuzz: SECONDS = 600
fuzz: setup  ## Odd files of every kind for ten minutes; SECONDS=600 SEED=0
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)

check: setup  ## Format, lint, words, types, import contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/snakefmt --check Snakefile rules
	@# Functions are defined above the rule that uses them; the linter wants them in a separate file.
	@$(BIN)/snakemake --lint > $(VENV)/lint 2>&1 || { grep -q '^Lints for' $(VENV)/lint && \
		! grep -E '^ +\* |[Ee]rror' $(VENV)/lint | grep -v 'Mixed rules and functions'; }
	@! git grep -niE "(^|[^a-z])($$(sed -n 's/^    //p' docs/style.md))([^a-z]|$$)" -- . ':!CHANGELOG.md' \
		':!docs/style.md' ':!ltdm/plumbing/renamed.py' ':!tests/unit/plumbing/test_renamed.py'
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/mypy ltdm

lock:  ## Rewrite requirements.lock from pyproject.toml, by uv, which `make setup` installs
	@PATH="$$PATH:$(BIN)" uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --extra workflow --extra tensorboard --extra dev pyproject.toml -o requirements.lock

docs: setup  ## Rewrite the schema, config/README.md's tables and three pages of docs/ from the code
	@$(BIN)/python -c 'from pathlib import Path; from ltdm.cli import reference; \
		from ltdm.tools import docs_config, docs_methods, docs_scores; \
		[page.write(Path(".")) for page in (docs_config, docs_methods, docs_scores, reference)]'

site: setup  ## Build the documentation site: site/index.html, which needs no server and no network
	@$(BIN)/mkdocs build --quiet --strict
