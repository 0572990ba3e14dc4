"""What is done to data: pull, clean, relabel, mix, select, report, publish; the command line."""

from __future__ import annotations

__version__ = "0.1.0"
