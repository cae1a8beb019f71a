#!/usr/bin/env bash
# Serve a run over HTTP: ./infer_api.sh RUN_DIR [options of `astrobio serve`]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec "${PYTHON:-.venv/bin/python}" -m astrobio.cli serve "$@"
