"""The error types of the package."""

from __future__ import annotations

from pathlib import Path


class InputError(Exception):
    """Something the user gave (a file, a row, a parameter) cannot be used.

    The message names the thing, what was expected, what was found and what to do, e.g.
    ``sub-07_T1w.nii.gz: expected a 3-D image, got 4-D (64, 64, 60, 120). Extract one volume, or drop this row.``
    Domain code raises it; the command line alone turns it into a message and exit code 1.
    """


class ScanError(InputError):
    """An image file that cannot be used: the message in its parts, for the table of a cohort's problems."""

    def __init__(self, path: str | Path, problem: str, remedy: str):
        super().__init__(f"{path}: {problem}. {remedy}.")
        self.problem, self.remedy = problem, remedy
