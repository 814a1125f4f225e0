# `make demo` needs a Python of 3.11 or newer and, the first time, a package index; everything else follows.

PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3,\
	$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
BIN := .venv/bin
READY := .venv/.ready
MUTANTS := .venv/.mutants

.PHONY: demo test proof fleet mutants docs lint clean

demo: $(READY)
	$(BIN)/usageguard demo

# What `pytest` alone runs, on all cores; what runs in real time comes after it, and waits rather than computes.
test: $(READY)
	$(BIN)/pytest -n auto --dist loadfile -m "not realtime and not proof"
	$(BIN)/pytest -n 4 --dist loadfile -m "realtime and not proof"

# Every scenario on both targets, torture, soak, random lives, a sample of mutants, boards in real time: some eight
# minutes on two cores.
proof: $(MUTANTS)
	$(BIN)/pytest -n auto --dist worksteal -m "proof and not realtime"
	$(BIN)/pytest -n 4 --dist worksteal -m "proof and realtime"

# A month of 200 devices on one pool, at most 15 minutes; `make proof` runs 20.
fleet: $(READY)
	$(BIN)/usageguard soak --pool 200

# Breaks the firmware in some 300 ways and writes which tests notice, tests/mutation/TABLE.md: some 15 minutes on two
# cores. A run that was ended goes on where it was.
mutants: $(MUTANTS)
	$(BIN)/python -m tests.mutation

# The documentation as a site, build/site/index.html, from the Markdown that is read on GitHub.
docs: $(MUTANTS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "The site's first page: $(CURDIR)/build/site/index.html"

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/codespell
	PYTHONPATH=firmware $(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/pyright
	$(BIN)/pyright -p firmware --typeshedpath "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist usageguard-report*.html

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python of 3.11 or newer is on the PATH; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all,test]'
	touch $@

$(MUTANTS): $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs,mutants]'
	touch $@
