# mien: `make demo` and `make test` need nothing but make; the rest is set up in .venv.
#
#   make demo        swap the bundled clip and say where the results are
#   make test        format, lint, types, import rules, tests
#   make lint        the same without the tests
#   make format      let ruff put the sources in order
#   make cuda-check  compile the CUDA kernels for every architecture, show registers, shared
#                    memory and spills (needs nvcc, no GPU); `make cuda-table` updates docs/gpu.md
#   make stub        write engine/mien/_kernels.pyi anew
#   make wheel       build the wheel into dist/
#   make clean       remove what was built; `make distclean` removes .venv as well
#
# PYTHON=python3.12 picks the interpreter for a new .venv. NEURAL=1 installs PyTorch for the tests
# of the neural swappers (large; they are skipped without it). ARGS="-k matte" goes to pytest.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
NEURAL ?= 0
ARGS ?=
DEMO_OUT ?= demo-out

BUILD_INPUTS := pyproject.toml CMakeLists.txt $(wildcard kernels/*.cpp kernels/*.hpp kernels/cpu/* \
                kernels/include/mien/*)
BUILD_TOOLS := cmake ninja "scikit-build-core>=0.11" "nanobind>=2.4"
# Editable: sources run where they stand, and files added later are found too.
INSTALL := $(PIP) install -q --no-build-isolation
# MediaPipe, the yardstick of `mien bench`, without its second OpenCV (which needs libGL) and JAX.
YARDSTICK := mediapipe==0.10.21
YARDSTICK_NEEDS := "numpy<2" "protobuf>=4.25.3,<5" absl-py attrs flatbuffers matplotlib
TORCH := torch==2.13.0

.PHONY: all demo test lint format cuda-check cuda-table stub wheel clean distclean
all: test

# ---- what the machine and .venv need ----------------------------------------------------------

$(VENV)/ready.stamp:
	@bash .ci/set-up $(VENV) $(PYTHON)
	@touch $@

$(VENV)/run.stamp: $(VENV)/ready.stamp $(BUILD_INPUTS)
	@echo "mien: building and installing into $(VENV)"
	@$(PIP) install -q $(BUILD_TOOLS)
	@$(INSTALL) -e ".[window]"
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	@echo "mien: installing what the tests need"
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))' && \
	    $(PIP) download -q --no-deps -d $(VENV)/wheels $(YARDSTICK) 2>/dev/null; then \
	  $(INSTALL) -e ".[dev,window,webrtc]" $(YARDSTICK_NEEDS) && \
	  $(PIP) install -q --no-deps $(VENV)/wheels/mediapipe-*.whl; \
	else \
	  echo "mien: no MediaPipe for this Python; its comparisons are skipped"; \
	  $(INSTALL) -e ".[dev,window,webrtc]"; \
	fi
	@touch $@

$(VENV)/neural.stamp: $(VENV)/dev.stamp
	@echo "mien: installing PyTorch and Numba"
	@$(PIP) install -q "$(TORCH)" || $(PIP) install -q torch
	@$(PIP) install -q "numba>=0.59" || echo "mien: no Numba; the tests of the renderer are skipped"
	@touch $@

ifeq ($(NEURAL),1)
TESTBED := $(VENV)/neural.stamp
else
TESTBED := $(VENV)/dev.stamp
endif

# ---- what people type -------------------------------------------------------------------------

demo: $(VENV)/run.stamp
	@$(BIN)/mien demo --out $(DEMO_OUT)

lint: $(TESTBED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest $(ARGS)

format: $(TESTBED)
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# Any Python will do here: no .venv is made for it.
CUDA_RESOURCES := $(or $(PYTHON),python3) tools/cuda_resources.py --jobs 2

cuda-check:
	@$(CUDA_RESOURCES) --check docs/gpu.md

cuda-table:
	@$(CUDA_RESOURCES) --write docs/gpu.md

stub: $(TESTBED)
	$(BIN)/python -m nanobind.stubgen -q -m mien._kernels -o engine/mien/_kernels.pyi

wheel: $(VENV)/ready.stamp
	@$(PIP) install -q $(BUILD_TOOLS)
	@rm -rf dist && mkdir -p dist
	$(PIP) wheel -q --no-deps --no-build-isolation -w dist .
	@ls -l dist
	@$(BIN)/python -c "import pathlib, sys; \
	  [size] = [p.stat().st_size for p in pathlib.Path('dist').glob('*.whl')]; \
	  sys.exit(size > 60e6 and f'the wheel is too large: {size / 1e6:.1f} MB, at most 60')"

clean:
	rm -rf build dist wheelhouse $(DEMO_OUT) .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
	rm -f $(VENV)/run.stamp $(VENV)/dev.stamp $(VENV)/neural.stamp

distclean: clean
	rm -rf $(VENV)
