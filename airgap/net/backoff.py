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
        self._base = retries.base
        self._fresh = Retry(
            total=(retries.attempts if attempts is None else attempts) - 1,
            allowed_methods=None,
            backoff_factor=retries.base,
            backoff_max=retries.longest,
            backoff_jitter=retries.jitter,
        )
        self._retry = self._fresh

    def reset(self) -> None:
        """There was progress: the count starts anew."""
        self._retry = self._fresh

    def after(self, retry_after: str | None = None) -> float | None:
        """Seconds to wait before the next attempt, `None` when there is none left.

        The first repetition after a broken connection comes at once: a kept connection that went stale is the usual
        reason. An answer that asks for patience (`Retry-After`, seconds or a date) gets it, bounded.
        """
        try:
            self._retry = self._retry.increment("GET", "/")
        except MaxRetryError:
            return None
        wait = self._retry.get_backoff_time()
        if retry_after:
            try:
                wait = max(wait, self._retry.parse_retry_after(retry_after))
            except (InvalidHeader, ValueError, OverflowError):
                wait = max(wait, self._base)
        return min(wait, MAX_RETRY_AFTER)
