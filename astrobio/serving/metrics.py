"""Counters of the inference API in Prometheus' text format, version 0.0.4."""

import threading
from collections import Counter

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Upper edges in seconds: from a small model on one planet to a full batch on a busy machine.
_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What was asked and answered since the start; safe to use from several threads."""

    def __init__(self) -> None:
        """Start at zero."""
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._samples = 0
        self._buckets = [0] * (len(_EDGES) + 1)  # the last counts what took longer than any edge
        self._seconds = 0.0
        self._in_flight = 0

    def began(self) -> None:
        """Count a request that is being answered."""
        with self._lock:
            self._in_flight += 1

    def answered(self, path: str, status: int) -> None:
        """Count an answer to a request that `began`."""
        with self._lock:
            self._in_flight -= 1
            self._requests[path, status] += 1

    def computed(self, samples: int, seconds: float) -> None:
        """Count a prediction."""
        with self._lock:
            self._samples += samples
            self._seconds += seconds
            self._buckets[sum(seconds > edge for edge in _EDGES)] += 1

    def text(self) -> str:
        """All of it for a scrape."""
        with self._lock:
            lines = [
                "# HELP astrobio_requests_total Requests answered.",
                "# TYPE astrobio_requests_total counter",
                *(
                    f'astrobio_requests_total{{path="{path}",status="{status}"}} {count}'
                    for (path, status), count in sorted(self._requests.items())
                ),
                "# HELP astrobio_requests_in_flight Requests being answered.",
                "# TYPE astrobio_requests_in_flight gauge",
                f"astrobio_requests_in_flight {self._in_flight}",
                "# HELP astrobio_samples_total Samples predicted.",
                "# TYPE astrobio_samples_total counter",
                f"astrobio_samples_total {self._samples}",
                "# HELP astrobio_predict_seconds Time to compute the answer to a request.",
                "# TYPE astrobio_predict_seconds histogram",
            ]
            total = 0
            for edge, count in zip((*map(str, _EDGES), "+Inf"), self._buckets, strict=True):
                total += count
                lines.append(f'astrobio_predict_seconds_bucket{{le="{edge}"}} {total}')
            lines += [f"astrobio_predict_seconds_sum {self._seconds}", f"astrobio_predict_seconds_count {total}"]
        return "\n".join(lines) + "\n"
