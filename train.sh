#!/usr/bin/env bash
# Train a model: ./train.sh TASK [options of `astrobio train`]. NPROC=2 ./train.sh TASK trains with two processes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
python=${PYTHON:-.venv/bin/python}
if [ "${NPROC:-1}" -gt 1 ]; then
  exec "$python" -m torch.distributed.run --standalone --nproc-per-node "$NPROC" -m astrobio.cli train "$@"
fi
exec "$python" -m astrobio.cli train "$@"
