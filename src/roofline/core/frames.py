"""A table of results: named columns of one length, for people, for files and for data frames."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from roofline.core.errors import QuestionError, fault, unknown
from roofline.core.signatures import typed_methods
from roofline.core.text import csv_text
from roofline.core.values import Cell

if TYPE_CHECKING:
    import pandas as pd


def _columns(given: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    return {name: np.asarray(values) for name, values in given.items()}


def _even(_: object, __: object, columns: Mapping[str, NDArray[Any]]) -> None:
    sizes = {values.shape for values in columns.values()}
    if len(sizes) > 1 or any(len(size) != 1 for size in sizes):
        raise QuestionError(fault("columns", sorted(sizes), "must be lists of one length"))


@typed_methods
@frozen(eq=False, repr=False)
class Frame:
    """Columns by name; ``frame["tpot_s"]`` is an array, ``dict(frame)`` all of them.

    >>> made = Frame({"name": ["a", "b"], "n": [1.0, 2.5]})
    >>> made.rows, list(made), made.row(1)["n"]
    (2, ['name', 'n'], 2.5)
    >>> print(made.csv(), end="")
    name,n
    a,1.0
    b,2.5

    Attributes:
        columns: the columns, arrays of equal length by name.
    """

    columns: dict[str, NDArray[Any]] = field(converter=_columns, validator=_even)

    def __repr__(self) -> str:
        return f"<Frame: {self.rows} rows of {', '.join(self.columns)}>"

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self.columns:
            raise unknown("column", name, self.columns)
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def keys(self) -> list[str]:
        """Return the names of the columns."""
        return list(self.columns)

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return next((len(values) for values in self.columns.values()), 0)

    def row(self, i: int) -> dict[str, Cell]:
        """Return one row as plain values; None for what has no meaning there."""
        return {name: _plain(values[i]) for name, values in self.columns.items()}

    def records(self) -> list[dict[str, Cell]]:
        """Return every row as plain values."""
        return [self.row(i) for i in range(self.rows)]

    def csv(self) -> str:
        """Return the table as the text of a CSV file; numbers are written so that they read back the same."""
        return csv_text(self.columns, (row.values() for row in self.records()))

    def to_dataframe(self) -> pd.DataFrame:
        """Return the table as a pandas data frame.

        Raises:
            QuestionError: pandas is not installed.
        """
        pandas: Any = require_module(lambda: __import__("pandas"), "a data frame", "pandas")
        return pandas.DataFrame(self.columns)

    def parquet(self) -> bytes:
        """Return the table as the content of a Parquet file.

        Raises:
            QuestionError: pyarrow is not installed.
        """
        arrow: Any = require_module(lambda: __import__("pyarrow.parquet"), "Parquet", "roofline[parquet]")
        out = io.BytesIO()
        # Text is an array of objects; an empty column has no kind to guess.
        table = {
            name: [str(v) for v in values] if values.dtype.kind in "OU" else values
            for name, values in self.columns.items()
        }
        arrow.parquet.write_table(arrow.table(table), out)
        return out.getvalue()


def require_module(imported: Callable[[], Any], what: str, package: str) -> Any:
    """Return a module that few have, or say how to get it.

    Raises:
        QuestionError: it is not installed.
    """
    try:
        return imported()
    except ImportError:
        raise QuestionError(f"{what}: needs a package that is not here; pip install '{package}'") from None


def _plain(value: Any) -> Cell:
    if isinstance(value, str):
        return str(value)
    out = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(out, float) and np.isnan(out) else out
