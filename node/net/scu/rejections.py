"""What an A-ASSOCIATE-RJ says, in words (PS3.8 Table 9-21)."""

from node.upperlayer import Rejection

_RESULTS = {1: "rejected permanent", 2: "rejected transient"}

_REASONS = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling ae title not recognised",
    (1, 7): "called ae title not recognised",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}


def explain(rejection: Rejection) -> str:
    """Return result and reason in words."""
    result = _RESULTS.get(rejection.result, f"result {rejection.result}")
    reason = _REASONS.get(
        (rejection.source, rejection.reason),
        f"source {rejection.source}, reason {rejection.reason}",
    )
    return f"{result}, {reason}"
