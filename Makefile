# `make demo` needs a Python of 3.11 or newer and, the first time, a package index; everything else follows.

PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3,\
	$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint clean

demo: $(READY)
	$(BIN)/usageguard demo

test: $(READY)
	$(BIN)/pytest -n auto --dist loadfile -m "not realtime"
	$(BIN)/pytest -m realtime

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/codespell
	$(BIN)/pyright
	$(BIN)/pyright -p firmware --typeshedpath "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist usageguard-report*.html

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python of 3.11 or newer is on the PATH; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@
