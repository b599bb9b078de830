"""Numbers as text: true minus signs, dashes for what is not known, intervals in brackets."""

from __future__ import annotations

import math
from collections.abc import Sequence

MINUS, DASH, PLUS_MINUS = "\u2212", "\u2013", "\u00b1"


def format_number(value: float | None, digits: int = 3) -> str:
    """A number with a true minus sign and no negative zero; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return DASH
    text = f"{abs(value):,.{digits}f}"
    return f"{MINUS}{text}" if value < 0 and float(text.replace(",", "")) > 0 else text


def format_signed(value: float, digits: int = 3) -> str:
    """A number with its sign, none where it rounds to zero."""
    text = format_number(value, digits)
    return f"+{text}" if value > 0 and float(text.replace(",", "")) > 0 else text


def format_plain(value: float) -> str:
    """A tick of an axis without exponent: "0.001", "2,000"."""
    text = f"{value:,.10f}".rstrip("0").rstrip(".")
    return text.replace("-", MINUS)


def format_interval(low: float, high: float, digits: int = 3) -> str:
    """ "[0.650, 0.771]"; empty where an end is not known."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"[{format_number(low, digits)}, {format_number(high, digits)}]"


def format_p(p: float) -> str:
    """A p-value: ".03", "< .001", "1"; a third digit below .01 and around .05; a dash where none was made."""
    if math.isnan(p):
        return DASH
    if p < 0.001:
        return "< .001"
    text = f"{p:.{3 if p < 0.01 or 0.045 <= p < 0.055 else 2}f}"
    return "1" if float(text) == 1 else text.removeprefix("0")


def state_p(p: float) -> str:
    """ "p = .03", "p < .001"."""
    text = format_p(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def format_seconds(seconds: float) -> str:
    """A duration: "48 s", "12 min 5 s", "3 h 20 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def format_percent(share: float, digits: int = 1) -> str:
    return DASH if math.isnan(share) else f"{format_number(100 * share, digits)}%"


def format_share(share: float) -> str:
    """A fraction of the data in as few digits as it needs: "2.5%"."""
    return f"{100 * share:g}%"


def format_amount(amount: float) -> str:
    """An amount of synthetic items, or "all"."""
    return "all" if math.isinf(amount) else format_plain(amount)


def count(number: int, word: str) -> str:
    """ "1 patient", "1,200 slices"."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def join_words(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def plain_title(name: str) -> str:
    """A name of the files as a title: "held_out" as "Held out"."""
    text = name.replace("_", " ")
    return f"{text[:1].upper()}{text[1:]}"
