"""The inference API as a server process, on uvicorn. Needs the extra `serve`."""

import socket
import sys

import uvicorn

from astrobio.serving.app import create_app
from astrobio.serving.loaded_run import Predictor
from astrobio.serving.request_limits import RequestLimits

_MAX_CONNECTIONS = 64  # more at a time are answered with 503
_GRACE_S = 10  # for requests that are being answered when the server is told to end


def run_server(predictor: Predictor, *, host: str, port: int, limits: RequestLimits) -> None:
    """Serve until SIGINT or SIGTERM; requests that are being answered have ten seconds to be finished.

    The address is printed to standard error once connections are accepted; port 0 takes a free one.

    Raises:
        OSError: the address cannot be listened on.
    """
    app = create_app(predictor, limits)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listening:
        # Bound and listening: a client that connects now waits until the server below is up.
        address = f"[{host}]" if ":" in host else host
        print(f"serving on http://{address}:{listening.getsockname()[1]}", file=sys.stderr, flush=True)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_GRACE_S,  # Ctrl-C ends it also while a long answer is being computed
        )
        uvicorn.Server(config).run(sockets=[listening])
