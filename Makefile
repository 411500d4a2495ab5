# `make demo` and `make test` need Python >= 3.11, a Rust toolchain and make, and set up the rest.

VENV := .venv
BIN := $(VENV)/bin
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find rust -name '*.rs' -o -name Cargo.toml)

# The first interpreter that runs and is new enough.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON = $(or $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$python" -c '$(NEW_ENOUGH)' 2>/dev/null && echo "$$python" && break; \
	done),$(error no Python >= 3.11 found; install one, or say PYTHON=/path/to/python))

# Whatever environment is active outside, this project's own is meant: by maturin, and by cargo.
MATURIN := env -u CONDA_PREFIX VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python

.DELETE_ON_ERROR:
.PHONY: help demo test test-rust test-python quick lint bench wheels build clean

help:
	@echo 'make demo    train a small network on digits and draw its loss surface'
	@echo 'make test    everything that must hold: formats, lints, types, tests'
	@echo 'make quick PACKAGE=_path'
	@echo '             lint what changed, Rust unit tests, the Python tests of one package'
	@echo 'make lint    the static part of make test'
	@echo 'make bench   compare the speed with hand-written loops and other packages'
	@echo 'make wheels  build the wheel of this platform and the source distribution into dist/'
	@echo 'make build   set up .venv with the dependencies and the extension'
	@echo 'make clean   remove .venv and all build products'

demo: build
	$(BIN)/python examples/demo.py

test: lint test-rust test-python

test-rust: $(VENV)/.environment
	cargo test

# One process a processor, each with one thread (tests/conftest.py).
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist worksteal

test-python: build
	$(PYTEST)

# The files that differ from the last commit, which is what a change in progress is.
CHANGED = $(shell git diff --name-only --diff-filter=d HEAD -- '*.py' '*.pyi'; \
	git ls-files --others --exclude-standard -- '*.py' '*.pyi')

quick: build
	@test -d "tests/$(PACKAGE)" -a -n "$(PACKAGE)" || \
		{ echo "say which: PACKAGE=$$(cd tests && ls -d _*/ plot/ | tr -d / | xargs | tr ' ' '|')"; exit 2; }
	cargo fmt --check
	$(BIN)/ruff check --force-exclude tests/$(PACKAGE) $(CHANGED)
	$(BIN)/ruff format --check --force-exclude tests/$(PACKAGE) $(CHANGED)
	cargo test --lib
	$(PYTEST) tests/$(PACKAGE)

# The stub is all that stubtest looks at: types of packages that its neighbours import take minutes.
lint: build
	cargo fmt --check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	cargo clippy --all-targets -- -D warnings
	$(BIN)/mypy
	printf '[mypy]\nfollow_imports = skip\n' \
		| $(BIN)/python -m mypy.stubtest --mypy-config-file /dev/stdin landscape._core

# BENCH holds options that all programs know, such as "--cifar FILE --markdown".
bench: build $(VENV)/.baselines
	mkdir -p target
	cargo bench -p landscape-core --bench kernel > target/kernel.txt
	cat target/kernel.txt
	peak=$$(sed -n 's/^f32, peak \([0-9.]*\).*/\1/p' target/kernel.txt); \
	for threads in 1 2; do \
		$(BIN)/python benchmarks/native.py --threads $$threads --peak "$$peak" $(BENCH) || exit; \
	done
	$(BIN)/python benchmarks/surface.py --packages "$$($(PACKAGES))" $(BENCH)
	$(BIN)/python benchmarks/spectrum.py --packages "$$($(PACKAGES))" $(BENCH)
	$(BIN)/python benchmarks/trace.py $(BENCH)
	$(BIN)/python benchmarks/path.py $(BENCH)
	$(BIN)/python benchmarks/sharpness.py $(BENCH)
	$(BIN)/python benchmarks/first_picture.py $(BENCH)
	$(BIN)/python benchmarks/matching.py
	cargo bench -p landscape-core --bench spectrum

wheels: $(VENV)/.environment
	env -u CONDA_PREFIX VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin build --release --sdist --out dist

build: $(VENV)/.extension

clean:
	rm -rf $(VENV) target dist

# The stamps lie in the environment that they speak of, so they vanish with it.

$(VENV)/.environment:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install 'maturin>=1.9,<2'
	touch $@

$(VENV)/.dependencies: pyproject.toml $(VENV)/.environment
	$(MATURIN) --extras dev
	touch $@

$(VENV)/.extension: $(RUST_SOURCES) $(VENV)/.dependencies
	$(MATURIN) --skip-install
	touch $@

# Other packages have an environment of their own, for one of them wants an older NumPy. It sees
# what .venv holds, so that PyTorch is not installed twice. One by one: a package that does not
# install is left out, and the benchmark says so.
BASELINES := $(VENV)/baselines
PACKAGES := $(BASELINES)/bin/python -c 'import site; print(site.getsitepackages()[0])'

$(VENV)/.baselines: $(VENV)/.dependencies
	$(BIN)/python -m venv --clear $(BASELINES)
	$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' > "$$($(PACKAGES))/landscape.pth"
	for package in gradfield landscaper loss-landscapes \
			curvlinops-for-pytorch hessian-eigenthings pyhessian; do \
		$(BASELINES)/bin/python -m pip install "$$package" \
			|| echo "$$package does not install here"; \
	done
	touch $@
