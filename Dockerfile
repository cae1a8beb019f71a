# CPU:   docker build -t astrobio-audit .
#        docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/work" astrobio-audit readiness
# CUDA:  docker build --build-arg DEVICE=cuda -t astrobio-audit:cuda .
#        docker run --rm --gpus all -u "$(id -u):$(id -g)" -v "$PWD:/work" astrobio-audit:cuda attention --device cuda
# The project that is audited lies in /work; what it needs beside torch is installed into an image made from this one.
FROM python:3.12-slim
ARG DEVICE=cpu
ARG TORCH_INDEX=

# git tells the commit of what is audited; a C++ compiler is what torch.compile and Triton build with.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ git \
    && rm -rf /var/lib/apt/lists/*

# torch first: it is large and changes seldom. TORCH_INDEX names the index that has the build for the device, where it
# is not the one that pip is configured for.
WORKDIR /opt/astrobio-audit
COPY constraints.txt ./
RUN case "$DEVICE" in \
      cpu|cuda) ;; \
      *) echo "DEVICE is cpu or cuda, not $DEVICE" >&2; exit 2 ;; \
    esac \
    && pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch

COPY pyproject.toml README.md LICENSE ./
COPY astrobio ./astrobio
COPY audit ./audit
COPY validation ./validation
RUN if [ "$DEVICE" = cuda ]; then extras=gpu,plots; else extras=plots; fi \
    && pip install --no-cache-dir --constraint constraints.txt ".[$extras]"

# Whoever runs it, a user without a name too, can write here.
ENV HOME=/tmp \
    ASTROBIO_AUDIT_CACHE=/tmp/astrobio-audit
WORKDIR /work
ENTRYPOINT ["astrobio-audit"]
CMD ["readiness"]
