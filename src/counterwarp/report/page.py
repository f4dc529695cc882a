"""report.html and CITATION.md from their templates."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

MINUS = "\N{MINUS SIGN}"


def render(template: str, **context: Any) -> str:
    """Fill one of the templates in ``counterwarp/report/templates``; a value that is not given is an error."""
    environment = Environment(
        loader=PackageLoader("counterwarp.report"),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "number": _number, "signed": _signed}
    return environment.get_template(template).render(**context)


def embedded(name: str) -> Markup:
    """The page's CSS or JavaScript, to be put inside it."""
    return Markup(files("counterwarp.report").joinpath("templates", name).read_text(encoding="utf-8"))


def _percent(share: float | None, digits: int = 0) -> str:
    return "undefined" if share is None else f"{100 * share:.{digits}f} %"


def _number(value: float | None, digits: int = 2) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def _signed(value: float | None, digits: int = 1) -> str:
    return "undefined" if value is None else f"{value:+.{digits}f}".replace("-", MINUS)
