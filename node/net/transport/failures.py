"""How a handler's mistake is logged."""

import logging

log = logging.getLogger(__name__)


def log_failure(service: str, error: BaseException) -> None:
    """Log a handler's mistake; its words may quote a patient, so they are for debugging only."""
    log.error("The %s handler failed: %s", service, type(error).__name__)
    log.debug("Why the %s handler failed", service, exc_info=error)
