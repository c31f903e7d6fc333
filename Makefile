# The front door. Every target sets up what it needs; a second call skips what is done.
# PYTHON=python3.12 make test   uses another interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mlvgm/data/fashion-mnist
PLUGINS := $(wildcard plugins/mlvgm-*)
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The tests' models are small: more threads cost more than they give, and change last digits.
test test-slow: export OMP_NUM_THREADS := 1

.PHONY: help demo test test-slow test-portable zoo mutation coverage lint bench data release-check clean

help:
	@echo "make demo       attack a classifier behind the NVAE defence, about five minutes on two cores"
	@echo "make test       ruff, mypy and the test suite"
	@echo "make test-slow  the tests that take minutes"
	@echo "make test-portable  the numerical tests with other processors' rounding, in three settings"
	@echo "make zoo        audits of flawed and honest defences, an hour on two cores; none of the flawed is to be believed"
	@echo "make mutation   how many wrong versions of the project the fast tests notice; takes long"
	@echo "make coverage   which lines the fast tests run"
	@echo "make lint       ruff and mypy"
	@echo "make bench      benchmarks; each prints ratios"
	@echo "make data       the full Fashion-MNIST, without root (Debian and Ubuntu)"
	@echo "make release-check  build all distributions, check them, install them into an empty environment and run them"
	@echo "make clean      remove the environment"

demo: $(VENV)/installed
	$(BIN)/mlvgm run purify --generator nvae --attack autoattack

test: lint
	$(BIN)/python -m pytest -q -m "not slow" --numprocesses 2 --dist loadfile

test-slow: $(VENV)/developing
	$(BIN)/python -m pytest -q -m slow

# The tests of files that compare by core/tests/tolerance.py, with the rounding of other processors. MKL_CBWR=COMPATIBLE
# is the matrix product for processors of any vendor; WITHOUT_AVX takes the same away from all other operations;
# --jitter SEED moves every loaded weight by 1 ± 2⁻²⁴, which no order of summation escapes. With `make test` (nothing
# set, one thread) any two of matrix product, other operations and threads meet in every combination.
WITHOUT_AVX := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41
AS_IT_IS := -u MKL_CBWR -u ATEN_CPU_CAPABILITY -u ONEDNN_MAX_CPU_ISA
NUMERICAL := $(BIN)/python -m pytest -q -m "numerical and not slow"
test-portable: $(VENV)/developing
	env $(AS_IT_IS) OMP_NUM_THREADS=2 MKL_CBWR=COMPATIBLE $(NUMERICAL) --jitter 0
	env $(AS_IT_IS) OMP_NUM_THREADS=2 $(WITHOUT_AVX) $(NUMERICAL) --jitter 1
	env $(AS_IT_IS) OMP_NUM_THREADS=1 MKL_CBWR=COMPATIBLE $(WITHOUT_AVX) $(NUMERICAL) --jitter 2

zoo: export OMP_NUM_THREADS := 1
zoo: $(VENV)/developing
	cd tests && ../$(BIN)/python -m zoo.run -n 64

mutation: $(VENV)/developing
	$(BIN)/python tests/mutants/mutation.py

coverage: $(VENV)/developing
	$(BIN)/python -m coverage run --parallel-mode -m pytest -q -m "not slow"
	$(BIN)/python -m coverage combine --quiet && $(BIN)/python -m coverage report --skip-covered --sort cover

lint: $(VENV)/developing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/developing
	@for file in tests/benchmarks/*.py plugins/*/benchmarks/*.py; do \
	  if [ -e "$$file" ]; then echo "== $$file"; $(BIN)/python "$$file" || exit 1; fi; \
	done

data: $(DATA)/train-images-idx3-ubyte.gz

# Members and the root in one call contradict each other (a pip that sees both refuses), hence two.
$(VENV)/installed: pyproject.toml hatch_build.py core/pyproject.toml $(PLUGINS:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "python3 -m venv does not work; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV); torch is large, this takes a minute or more"
	$(PIP) install --quiet --editable './core[report]' $(PLUGINS:%=--editable ./%)
	$(PIP) install --quiet --no-deps --editable .
	@touch $@

# Not an extra of the root: pip would replace the editable members by copies.
$(VENV)/developing: $(VENV)/installed requirements-dev.txt
	$(PIP) install --quiet --requirement requirements-dev.txt
	$(PIP) install --quiet --no-deps torchattacks
	@touch $@

# A package of the distribution, unpacked without being installed.
$(DATA)/train-images-idx3-ubyte.gz:
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && cd "$$folder" && \
	if ! { apt-get download dataset-fashion-mnist || { apt-get update && apt-get download dataset-fashion-mnist; }; }; then \
	  echo "Debian's package dataset-fashion-mnist is not to be had here. Put the four *-ubyte.gz files of" >&2; \
	  echo "https://github.com/zalandoresearch/fashion-mnist into $(DATA)" >&2; exit 1; \
	fi && \
	dpkg-deb -x dataset-fashion-mnist_*.deb . && mkdir -p "$(DATA)" && \
	install -m 644 usr/share/datasets/fashion-mnist/*.gz "$(DATA)" && echo "Fashion-MNIST is in $(DATA)"

# As for a package index: members by version. The environment gets nothing from this checkout but what was built.
release-check: $(VENV)/developing
	rm -rf dist build/release
	@for folder in core $(PLUGINS) .; do \
	  (cd $$folder && MLVGM_RELEASE=1 $(CURDIR)/$(BIN)/python -m hatchling build --directory $(CURDIR)/dist) || exit 1; \
	done
	$(BIN)/python -m twine check --strict dist/*
	$(PYTHON) -m venv build/release
	build/release/bin/python -m pip --disable-pip-version-check install --quiet --find-links dist mlvgm
	cd build/release && bin/mlvgm plugins doctor && bin/mlvgm run purify --protocol smoke --out run --json > result.json
	@echo "dist/ is whole: what is in it installs, and runs on its own"

clean:
	rm -rf $(VENV)
