"""Plain sentences that follow from the comparisons, and no more than follows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scripts.report.comparisons import MINIMUM_PATIENTS, SIGNIFICANT, Comparison, Estimate
from scripts.report.results import Arm, HasArms

MINUS = "\u2212"


def headline(
    results: HasArms, overall: Sequence[Comparison], *, measure: str = "Dice", made: str = "images"
) -> tuple[str, str]:
    """The answer to "did synthetic images help?" over all GAN arms.

    Args:
        results: whose arms are judged.
        overall: every other arm against the baseline, and GAN arms against the cheap alternatives.
        measure: what was compared.
        made: what is synthetic.

    Returns:
        The finding that colours it ("raised", "lowered", "cannot tell" or "too few"), and one sentence.
    """
    by_verdict: dict[str, list[str]] = {}
    for arm in results.of_kind("gan"):
        by_verdict.setdefault(judge_arm(arm, overall), []).append(arm.title)
    if not by_verdict:
        return "cannot tell", f"No arm with GAN {made} was run, so there is nothing to judge."
    baseline = results.baseline.title
    if "best" in by_verdict:
        return "raised", f"Yes: {_join(by_verdict['best'])} beat {baseline} and every cheap alternative."
    if "beats baseline" in by_verdict:
        titles = _join(by_verdict["beats baseline"])
        if not results.of_kind("alternative"):
            return "raised", f"Yes: {titles} beat {baseline}. No cheap alternative was run to compare with."
        return "cannot tell", f"Partly: {titles} beat {baseline}, but a gain over every cheap alternative is not shown."
    if set(by_verdict) == {"too few"}:
        n = next(c.difference.n for c in overall)
        return "too few", f"Too few patients to tell: {n}, and the test needs {MINIMUM_PATIENTS} or more."
    if set(by_verdict) == {"lowered"}:
        return "lowered", f"No: {_join(by_verdict['lowered'])} lowered {measure} against {baseline}."
    return "cannot tell", f"Cannot tell: no reliable gain from synthetic {made} was measured."


def headline_over_fractions(added: Mapping[str, Comparison]) -> tuple[str, str]:
    """The answer to "does the GAN add something on top of the cheap alternative?" over fractions of the data.

    Args:
        added: by the fraction's title ("2.5%"), the GAN with the alternative against the alternative alone.

    Returns:
        The finding that colours it, as `headline` does, and one sentence.
    """
    by_finding: dict[str, list[str]] = {}
    for title, comparison in added.items():
        by_finding.setdefault(comparison.finding, []).append(title)
    if not by_finding:
        return "cannot tell", "No fraction of the data was run with and without GAN images, so nothing can be judged."
    arm, other = (next(iter(added.values())).arm.title, next(iter(added.values())).other.title)
    raised, lowered = by_finding.get("raised"), by_finding.get("lowered")
    unclear = [title for title, comparison in added.items() if comparison.finding in ("cannot tell", "too few")]
    rest = f"; at {_join(unclear)} it cannot be told" if unclear else ""
    if raised and lowered:
        text = f"Mixed: {arm} beat {other} at {_join(raised)} of the data and scored lower at {_join(lowered)}{rest}."
        return "cannot tell", text
    if raised:
        finding, word = ("cannot tell", "In part") if unclear else ("raised", "Yes")
        return finding, f"{word}: {arm} beat {other} at {_join(raised)} of the data{rest}."
    if lowered:
        return "lowered", f"No: {arm} scored lower than {other} at {_join(lowered)} of the data{rest}."
    if "cannot tell" in by_finding:
        text = f"Cannot tell: no reliable gain of {arm} over {other} was measured at {_join(unclear)} of the data."
        return "cannot tell", text
    most = max(comparison.difference.n for comparison in added.values())
    return "too few", f"Too few patients to tell: {most}, and the test needs {MINIMUM_PATIENTS} or more."


def headline_over_members(by_family: Mapping[str, Mapping[tuple[int, int], Comparison]]) -> str:
    """The answer to "do more members help?" in one sentence.

    "More members raised Dice in 'Synthetic only' (5 against 1: +0.050 [0.030, 0.070], p = .01); cannot tell in
    'Real + synthetic' (5 against 1: +0.002 [-0.010, 0.014], p = 1)."

    Args:
        by_family: by the title of arms that differ only in the number of members, comparisons of mean Dice by the two
            numbers, larger first. The largest number against the smallest decides; others are told where they differ.
    """
    clauses: dict[str, list[str]] = {}
    for title, compared in by_family.items():
        if not compared:
            continue
        widest = max(compared, key=lambda pair: pair[0] - pair[1])
        finding = compared[widest].finding
        odd = [pair for pair, c in compared.items() if c.finding in ("raised", "lowered") and c.finding != finding]
        text = f"\u201c{title}\u201d ({_numbers(widest)}: {_result_inside(compared[widest])}"
        exceptions = [f"{_numbers(pair)} {compared[pair].finding} it: {_result_inside(compared[pair])}" for pair in odd]
        clauses.setdefault(finding, []).append(text + "".join(f"; yet {words}" for words in exceptions) + ")")
    if not clauses:
        return "No arms that differ only in the number of members were run, so nothing can be said about it."
    if set(clauses) == {"too few"}:
        most = max(c.difference.n for compared in by_family.values() for c in compared.values())
        return f"Too few patients to tell whether more members help: {most}, and the test needs {MINIMUM_PATIENTS}."
    said = [f"more members {word} Dice in {_join(clauses[word])}" for word in ("raised", "lowered") if word in clauses]
    if "cannot tell" in clauses:
        said.append(f"cannot tell {'' if said else 'whether more members help '}in {_join(clauses['cannot tell'])}")
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def describe_replacements(compared: Sequence[tuple[str, str, Comparison]]) -> str:
    """A sentence on generators got otherwise, at the same number or cost: (what, compared with what, the result)."""
    words = {"raised": "scored higher than", "lowered": "scored lower than", "cannot tell": "cannot be told from"}
    said = [
        f"{first} {words[c.finding]} {second} ({_result_inside(c)})"
        for first, second, c in compared
        if c.finding in words
    ]
    return f"At the same number or the same training cost: {'; '.join(said)}." if said else ""


def judge_arm(arm: Arm, comparisons: Sequence[Comparison]) -> str:
    """One word on a GAN arm: "best", "beats baseline", "lowered", "cannot tell" or "too few"."""
    first, *others = [c for c in comparisons if c.arm == arm]
    if first.finding != "raised":
        return first.finding
    return "best" if others and all(c.finding == "raised" for c in others) else "beats baseline"


def describe_arm(arm: Arm, comparisons: Sequence[Comparison]) -> str:
    """A sentence on one GAN arm from its comparisons of one class (or overall), against the baseline first.

    "Real + GAN raised Dice by +0.021 [0.003, 0.040] against Real only (p = .03 after Holm),
    but not reliably against Oversampling: +0.004 [-0.010, 0.020] (p = .40)."
    """
    first, *others = [c for c in comparisons if c.arm == arm]
    n, baseline = first.difference.n, first.other.title
    if first.p_adjusted is None:
        count = "one patient is" if n == 1 else f"{n} patients are"
        return f"{arm.title}: {format_difference(first.difference)} Dice against {baseline}; {count} too few to tell."
    if first.finding == "cannot tell":
        parts = [f"Cannot tell whether {arm.title} changed Dice against {baseline}: {_result(first)}"]
    else:
        shown = f"by {format_difference(first.difference)} against {baseline} ({format_p(first.p_adjusted)} after Holm)"
        parts = [f"{arm.title} {first.finding} Dice {shown}"]
    for finding, words in (("raised", "better than"), ("lowered", "worse than")):
        same = [f"{c.other.title}: {_result(c)}" for c in others if c.finding == finding]
        if same:
            parts.append(f"; {words} {_join(same)}")
    open_ones = [f"{c.other.title}: {_result(c)}" for c in others if c.finding == "cannot tell"]
    if open_ones:
        parts.append(", but not reliably against " if first.finding == "raised" else "; nor can it be told against ")
        parts.append(_join(open_ones))
    return "".join(parts) + "."


def describe_class(comparisons: Sequence[Comparison]) -> str:
    """One or two sentences on all GAN arms in one class, against the baseline and then the cheap alternatives.

    "Against Real only: raised by GAN: +0.060 [0.027, 0.096] (p = .01); cannot tell for GAN only: -0.010
    [-0.030, 0.012] (p = .50). Better than every cheap alternative: none."

    Args:
        comparisons: of one class, not empty; those of other arms than GAN arms are passed over.
    """
    mine = [c for c in comparisons if c.arm.kind == "gan"]
    against_baseline = [c for c in mine if c.other.kind == "baseline"]
    if not against_baseline:
        return "No arm with GAN images was run."
    baseline, n = against_baseline[0].other.title, against_baseline[0].difference.n
    if against_baseline[0].p_adjusted is None:
        shown = _join([f"{c.arm.title} {format_difference(c.difference)}" for c in against_baseline])
        return f"{'One patient is' if n == 1 else f'{n} patients are'} too few to tell. Against {baseline}: {shown}."
    clauses = []
    for finding, words in (("raised", "raised by"), ("lowered", "lowered by"), ("cannot tell", "cannot tell for")):
        same = [f"{c.arm.title}: {_result(c)}" for c in against_baseline if c.finding == finding]
        if same:
            clauses.append(f"{words} {_join(same)}")
    text = f"Against {baseline}: {'; '.join(clauses)}."
    if len(mine) > len(against_baseline):
        best = [c.arm.title for c in against_baseline if judge_arm(c.arm, mine) == "best"]
        text += f" Better than every cheap alternative too: {_join(best) if best else 'none'}."
    return text


def patients_needed(comparisons: int) -> int:
    """Fewest patients with which a single clear one of so many tests gets under .05 after correction."""
    n = MINIMUM_PATIENTS
    while comparisons * 2.0 ** (1 - n) >= SIGNIFICANT:
        n += 1
    return n


def _result(comparison: Comparison) -> str:
    return f"{format_difference(comparison.difference)} ({format_p(comparison.p_adjusted or 0)})"


def _result_inside(comparison: Comparison) -> str:
    """The result where a bracket is already open."""
    return f"{format_difference(comparison.difference)}, {format_p(comparison.p_adjusted)}"


def _numbers(pair: tuple[int, int]) -> str:
    return f"{pair[0]} against {pair[1]}"


def _join(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def format_p(p: float | None) -> str:
    """A p-value as text: "p = .03", "p < .001", "p = 1"; a third digit below .01 and around .05."""
    if p is None:
        return "not tested"
    if p < 0.001:
        return "p < .001"
    text = f"{p:.{3 if p < 0.01 or 0.045 <= p < 0.055 else 2}f}"
    return "p = 1" if float(text) == 1 else f"p = {text.removeprefix('0')}"


def format_difference(estimate: Estimate) -> str:
    """A difference in Dice as text: "+0.021 [0.003, 0.040]"; no interval for one patient."""
    sign = "" if format_number(abs(estimate.mean)) == "0.000" or estimate.mean < 0 else "+"
    return sign + format_estimate(estimate)


def format_estimate(estimate: Estimate, digits: int = 3) -> str:
    """A mean and its interval as text: "0.712 [0.650, 0.771]"; a dash where nothing is known."""
    if math.isnan(estimate.mean):
        return "\u2013"
    mean, low, high = (format_number(value, digits) for value in (estimate.mean, estimate.low, estimate.high))
    return mean if math.isnan(estimate.low) else f"{mean} [{low}, {high}]"


def format_number(value: float | None, digits: int = 3) -> str:
    """A number with a true minus sign and no negative zero; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return "\u2013"
    text = f"{abs(value):.{digits}f}"
    return f"{MINUS}{text}" if value < 0 and float(text) > 0 else text
