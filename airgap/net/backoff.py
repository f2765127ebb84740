"""How often and after which delay an operation is retried. urllib3's `Retry` does the arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from urllib3.exceptions import InvalidHeader, MaxRetryError
from urllib3.util import Retry

MAX_RETRY_AFTER = 120.0
"""The longest `Retry-After` in seconds that a job obeys. For longer ones, a person should know, and no job
should hang."""


@dataclass(frozen=True, slots=True)
class Retries:
    """At most `attempts` per request. The waits grow from `base` to `longest` seconds, plus up to `jitter`."""

    attempts: int = 6
    base: float = 0.5
    longest: float = 30.0
    jitter: float = 0.5


class Backoff:
    """Counts the failures of one operation."""

    def __init__(self, retries: Retries, attempts: int | None = None) -> None:
        self._limits = retries
        self._attempts = retries.attempts if attempts is None else attempts
        self._retry: Retry | None = None
        """Created at the first failure, because most requests do not need it."""

    def reset(self) -> None:
        """Restarts the count, because there was progress."""
        self._retry = None

    def after(self, retry_after: str | None = None) -> float | None:
        """Seconds to wait before the next attempt, `None` if no attempt is left.

        After a broken connection, the first retry is immediate: usually, a kept connection went stale. A `Retry-After`
        (seconds or a date) is obeyed, up to a limit.
        """
        try:
            self._retry = retry = (self._retry or self._fresh()).increment("GET", "/")
        except MaxRetryError:
            return None
        wait = retry.get_backoff_time()
        if retry_after:
            try:
                wait = max(wait, retry.parse_retry_after(retry_after))
            except (InvalidHeader, ValueError, OverflowError):
                wait = max(wait, self._limits.base)
        return min(wait, MAX_RETRY_AFTER)

    def _fresh(self) -> Retry:
        return Retry(
            total=self._attempts - 1,
            allowed_methods=None,
            backoff_factor=self._limits.base,
            backoff_max=self._limits.longest,
            backoff_jitter=self._limits.jitter,
        )
