# Two commands are all a newcomer needs: `make audit` and `make test`. Both set up .venv first, once.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup audit publish test test-slow test-packages lint schema reference clean

# Installed again only when what is installed has changed.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "astrobio-audit needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

setup: $(READY)

audit: $(READY)
	@$(BIN)/astrobio-audit readiness --run-documents; code=$$?; \
	  echo "exit code $$code (0 ready, 1 not ready, 3 incomplete)"; exit $$code

publish: $(READY)
	@$(BIN)/astrobio-audit readiness --profile cpu --run-documents --quiet || test $$? -ne 2
	@$(BIN)/astrobio-audit report publish --from reports/latest --to reports

test: $(READY)
	$(BIN)/python -m pytest -m 'not slow and not packages' -n auto --dist loadfile

test-slow: $(READY)
	$(BIN)/python -m pytest -m 'slow and not packages'

# Two gigabytes of packages, and some ten minutes. timm brings a torchvision, which must be built for this very torch:
# another one cannot be imported, nor can what imports it where it is installed, as transformers does. Then timm is skipped.
test-packages: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,packages]'
	$(BIN)/python -c 'import torchvision' || $(BIN)/python -m pip uninstall --quiet --yes torchvision
	$(BIN)/python -m pytest -m packages tests/packages

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

schema: $(READY)
	$(BIN)/astrobio-audit report schema > audit/report/schema.json

reference: $(READY)
	$(BIN)/python tests/tools/write_reference.py

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache
