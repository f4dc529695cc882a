"""Reading a user's tables (CSV, TSV) strictly: what pandas guesses around is an error with its row here."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from counterwarp.core.errors import InputError


def read_table(path: Path, required: tuple[str, ...]) -> pd.DataFrame:
    """A table with a header: every cell as text without the spaces around it, empty where nothing stands.

    Returns
    -------
    DataFrame; its index ``row`` counts as a spreadsheet does: the header is row 1. Empty rows are left out.

    Raises
    ------
    InputError
        If it is not text, has no rows, lacks a required column, has one twice, or has a row longer than the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = "\t" if path.suffix == ".tsv" else ","
            lines = list(csv.reader(file, delimiter=delimiter, skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected a table in UTF-8 text ({error}). Save it as CSV (UTF-8).") from error
    rows = {row: [cell.strip() for cell in line] for row, line in enumerate(lines, 1) if any(line)}
    header = rows.pop(1, [])
    if missing := [column for column in required if column not in header]:
        raise InputError(f"{path}: no column {', '.join(missing)}; found {', '.join(header)}. Add it.")
    if twice := sorted({column for column in header if column and header.count(column) > 1}):
        raise InputError(f"{path}: column {', '.join(twice)} is there twice. Keep one.")
    if not rows:
        raise InputError(f"{path}: expected a row per scan or participant below the header, found none.")
    for row, cells in rows.items():
        if any(cells[len(header) :]):
            raise InputError(
                f"{path}: row {row} has {len(cells)} cells, the header {len(header)}. Quote cells that hold a comma."
            )
    width = len(header)
    filled = [(cells + [""] * width)[:width] for cells in rows.values()]
    return pd.DataFrame(filled, columns=header, index=pd.Index(list(rows), name="row"), dtype=str)
