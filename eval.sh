#!/usr/bin/env bash
# Measure a run on held-out data: ./eval.sh RUN_DIR [options of `astrobio eval`]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec "${PYTHON:-.venv/bin/python}" -m astrobio.cli eval "$@"
