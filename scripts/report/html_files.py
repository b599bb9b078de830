"""Pages: their templates, and files that are whole or absent."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2

TEMPLATES = Path(__file__).parent / "templates"


def template(name: str) -> jinja2.Template:
    """A page's template, which refuses names that it is not given."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = keep_together
    return environment.get_template(name)


def keep_together(text: str) -> str:
    """The text with no line breaks inside intervals and p-values."""
    return re.sub(r"\[[^]]*\]|\bp [=<] [.\d]+", lambda match: match[0].replace(" ", "\u00a0"), text)
