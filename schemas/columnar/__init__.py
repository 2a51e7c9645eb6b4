"""Avro records by the thousand: bytes to columns without a Python object per record."""

from schemas.columnar.arrays import Arrays
from schemas.columnar.reader import ColumnarReader, Columns, Problem

__all__ = ["Arrays", "ColumnarReader", "Columns", "Problem"]
