"""antspyx, imported without the packages that registration does not need: most of the time its import takes."""

from __future__ import annotations

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

UNUSED = ("matplotlib", "mpl_toolkits", "requests", "scipy", "sklearn", "statsmodels")


class _Placeholder(ModuleType):
    """Has any name that is imported from it, as another placeholder, of which nothing can be used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Placeholder(f"{self.__name__}.{name}")


class _Placeholders(MetaPathFinder, Loader):
    """Finds a placeholder for every unused module."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        unused = any(f"{name}.".startswith(f"{package}.") for package in UNUSED)
        return ModuleSpec(name, self, is_package=True) if unused else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Placeholder(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is in it."""


def load_ants() -> ModuleType:
    """The package ``ants``; what is already imported is left alone, and what is imported later is the real package.

    Functions of ants for plots, downloads, regression and quantiles do not work after it.
    """
    if "ants" in sys.modules:
        return sys.modules["ants"]
    finder = _Placeholders()
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module("ants")
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _Placeholder)]:
            del sys.modules[name]
            parent, _, child = name.rpartition(".")
            if parent in sys.modules:
                delattr(sys.modules[parent], child)
