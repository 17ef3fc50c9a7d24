"""The figures of the door: requests by route and status, and how long they took."""

from functools import lru_cache

from prometheus_client import Counter, Histogram

REQUESTS = Counter("holdfast_requests", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "holdfast_request_seconds",
    "Time from the first byte of a request to the last of its answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
# Only these become labels: a caller may invent methods, and a label once made stays for ever.
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one request. `route` is the template of its path, never the path itself."""
    requests, duration = _children(method if method in METHODS else "OTHER", route, status)
    requests.inc()
    duration.observe(seconds)


@lru_cache(maxsize=4_000)
def _children(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The two series of a request; looking labels up costs more than counting."""
    return REQUESTS.labels(method, route, str(status)), SECONDS.labels(method, route)
