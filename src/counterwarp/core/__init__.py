"""Primitives that everything else stands on; they import nothing from the rest of the package."""
