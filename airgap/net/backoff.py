"""How often and after how long something is tried again. urllib3's `Retry` does the arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from urllib3.exceptions import InvalidHeader, MaxRetryError
from urllib3.util import Retry

MAX_RETRY_AFTER = 120.0
"""Seconds that a server may make us wait at once: longer, and a person should know rather than a job hang."""


@dataclass(frozen=True, slots=True)
class Retries:
    """`attempts` in all, for each request. The waits grow from `base` seconds to `longest`, plus up to `jitter`."""

    attempts: int = 6
    base: float = 0.5
    longest: float = 30.0
    jitter: float = 0.5


class Backoff:
    """Counts the failures of one piece of work."""

    def __init__(self, retries: Retries, attempts: int | None = None) -> None:
        self._limits = retries
        self._attempts = retries.attempts if attempts is None else attempts
        self._retry: Retry | None = None
        """Made when something fails: most requests never need it."""

    def reset(self) -> None:
        """There was progress: the count starts anew."""
        self._retry = None

    def after(self, retry_after: str | None = None) -> float | None:
        """Seconds to wait before the next attempt, `None` when there is none left.

        The first repetition after a broken connection comes at once: a kept connection that went stale is the usual
        reason. An answer that asks for patience (`Retry-After`, seconds or a date) gets it, bounded.
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
