"""Imports ``plots`` and ``reports`` when an answer is first plotted or printed."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def plots(module: str = "") -> Any:
    """Return :mod:`roofline.plots`, or a module of it, imported at the first call.

    Answers draw themselves, and the package that draws them imports the classes of answers; an import at the top of both would
    be a cycle, and matplotlib would be loaded by programs that draw nothing.
    """
    return import_module(f"roofline.plots.{module}" if module else "roofline.plots")


def reports(module: str = "") -> Any:
    """Return :mod:`roofline.reports`, or a module of it, imported at the first call: answers print themselves by it."""
    return import_module(f"roofline.reports.{module}" if module else "roofline.reports")
