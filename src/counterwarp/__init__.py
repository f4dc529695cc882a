"""Counterwarp: explain a brain MRI classifier by the warps that change its mind."""

__version__ = "0.1.0"
