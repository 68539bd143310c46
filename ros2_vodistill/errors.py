"""The one exception that a user is meant to read."""

from __future__ import annotations


class VodistillError(Exception):
    """Bad input or a missing capability: what is wrong, with the file and the value, and what to do about it.

    Commands print it without a traceback and exit with 2.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}\n  {remedy}" if remedy else problem)
        self.problem = problem
        self.remedy = remedy

    @property
    def line(self) -> str:
        """The problem and what to do about it on one line, for a log or a status."""
        return f"{self.problem}. {self.remedy}" if self.remedy else self.problem


def line_of(error: BaseException) -> str:
    """The line of a VodistillError; of any other exception its type and message."""
    return error.line if isinstance(error, VodistillError) else f"{type(error).__name__}: {error}"
