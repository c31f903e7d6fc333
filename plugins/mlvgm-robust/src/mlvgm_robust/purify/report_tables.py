"""The tables of a report as plain text cells, which HTML and Markdown both show."""

from __future__ import annotations

from mlvgm.tables import Column, Table
from mlvgm_robust.purify.comparison import BASELINE, Cell, compare
from mlvgm_robust.purify.published import published_rows
from mlvgm_robust.purify.sections import Merged
from mlvgm_robust.purify.security_curve import distances
from mlvgm_robust.purify.worst_case import threats, worst_case

_DEFENCE = Column("defence", "what stands in front of the classifier, and the classifier")
_ATTACK = Column("attack", "who looked for the adversarial images")
_IMAGES = Column("images", "how many images the figures of the row are of")


def tables(section: Merged) -> list[Table]:
    """All tables of a section that have rows."""
    found = [_summary(section), _comparison(section), _worst(section), _distances(section), _published(section)]
    return [table for table in found if table.body]


def _summary(section: Merged) -> Table:
    rows = [row for row, _ in section.rows]
    same = len({row.images for row in rows}) == 1
    return Table(
        "Summary",
        "Accuracy in % with 95 % intervals (votes: Wilson; single draws: bootstrap over images). "
        + ("All rows are on the same images." if same else "Rows are on different numbers of images."),
        (
            _DEFENCE,
            _ATTACK,
            _IMAGES,
            Column("clean, votes", "given images of which one deployed decision, a vote of several draws, is right"),
            Column("robust, votes", "the same of the attacked images, on fresh noise that no attack has seen"),
            Column("clean, single draw", "given images of which a decision on a single draw is right"),
            Column("robust, single draw", "the same of the attacked images"),
            Column("ms per image", "time of one deployed decision"),
            Column("s", "seconds that the attack took, without scoring"),
            Column("forwards", "forward passes of the attack, images × draws"),
            Column("backwards", "backward passes of the attack, images × draws"),
            Column("refused", "images whose candidate left the ball or the box"),
        ),
        tuple(
            (
                row.label,
                row.attack,
                str(row.images),
                *(e.percent() for e in (row.clean, row.robust, row.clean_single, row.robust_single)),
                f"{row.decision_milliseconds:.1f}",
                f"{row.seconds:.0f}",
                str(row.forwards),
                str(row.backwards),
                str(row.violations),
            )
            for row in rows
        ),
    )


def _comparison(section: Merged) -> Table:
    table = compare(section.outcomes)
    minimal = [attack for attack in table.attacks if any(o.attack == attack and o.minimal for o in section.outcomes)]
    most = max(len(outcome.samples) for outcome in section.outcomes)
    explanation = "Accuracy of one deployed decision in %, with 95 % Wilson intervals."
    if minimal:
        explanation += " Under minimal-norm attacks: the median distance; > all: fewer than half of the images broken."
    if table.worst:
        explanation += (
            " Worst case: per image, the attack most likely to succeed on selection draws counts with its own score; "
            "attacks of smaller radii and nearer images of minimal-norm attacks take part, and only images that all of "
            "them have seen."
        )
    if any(cell.p is not None for row in table.rows for cell in (*row.attacks.values(), *row.worst.values())):
        explanation += (
            f" p: McNemar's exact test against '{BASELINE}' on the same images, not corrected for the number of tests."
        )
    if any(len(outcome.samples) < most for outcome in section.outcomes):
        explanation += f" n: images, where they are not {most}."

    def text(cell: Cell | None) -> str:
        if cell is None:
            return "–"
        figure = cell.robust.percent()
        if cell.minimal:
            figure = "> all" if cell.median is None else f"{cell.median:.3g}"
        more = [] if cell.images == most else [f"n = {cell.images}"]
        if cell.p is not None and not cell.minimal:
            assert cell.difference is not None
            more.append(f"{100 * cell.difference:+.1f}, p {_p(cell.p)}")
        return figure + (f" ({'; '.join(more)})" if more else "")

    return Table(
        "Comparison of all defences",
        explanation,
        (
            _DEFENCE,
            Column("clean", "given images of which one deployed decision is right"),
            *(Column(attack, _under(attack, section)) for attack in table.attacks),
            *(
                Column(f"worst case, {title}", f"images that withstand all attacks within {title}")
                for title in table.worst
            ),
        ),
        tuple(
            (
                row.label,
                row.clean.percent(),
                *(text(row.attacks.get(attack)) for attack in table.attacks),
                *(text(row.worst.get(title)) for title in table.worst),
            )
            for row in table.rows
        ),
    )


def _under(attack: str, section: Merged) -> str:
    """What a column of an attack says."""
    outcome = next(outcome for outcome in section.outcomes if outcome.attack == attack)
    if outcome.eps is None:
        return f"median {outcome.norm} distance of the nearest images it found that are classified wrongly"
    return f"attacked images, {outcome.norm} ≤ {outcome.eps:.4g}, of which one deployed decision is right"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _worst(section: Merged) -> Table:
    labels = dict.fromkeys(outcome.label for outcome in section.outcomes)
    several = len({outcome.attack for outcome in section.outcomes}) > 1
    body = []
    for label in labels if several else ():
        own = [outcome for outcome in section.outcomes if outcome.label == label]
        for norm, eps in threats(section.outcomes):
            one = worst_case(own, norm=norm, eps=eps)
            if one.images:
                counts = ", ".join(f"{name} ({count})" for name, count in one.attacks.items())
                threat = f"{norm} ≤ {eps:.4g}"
                body.append((label, threat, counts, str(one.images), one.robust.percent(), one.robust_single.percent()))
    return Table(
        "Point-wise worst case",
        "For how many images each attack counts, of those that all of them have seen. Only attacks that were run "
        "against a defence can count.",
        (
            _DEFENCE,
            Column("threat", "norm and largest size of the perturbations, in pixels of [0, 1]"),
            Column("attacks (images)", "for how many images each attack is the one that counts"),
            Column("images", "how many images all of the attacks have seen"),
            Column("robust, votes", "of which one deployed decision is right under the attack that counts"),
            Column("robust, single draw", "of which a decision on a single draw is right"),
        ),
        tuple(body),
    )


def _distances(section: Merged) -> Table:
    def number(value: float | None) -> str:
        return "never" if value is None else f"{value:.3g}"

    return Table(
        "Minimal distances",
        "Distance within which 25, 50 and 75 % of the images are broken: 0 where an image is misclassified anyway; "
        "images that the attack did not break stay in (never: fewer are broken at any distance found).",
        (
            _DEFENCE,
            _ATTACK,
            Column("norm", "how distances are measured, in pixels of [0, 1]"),
            _IMAGES,
            Column("broken", "images that the attack broke at whatever distance, or that are misclassified anyway"),
            Column("25 %", "distance within which a quarter of the images are broken"),
            Column("median", "distance within which half of them are"),
            Column("75 %", "distance within which three quarters are"),
        ),
        tuple(
            (one.label, one.attack, one.norm, str(one.images), str(one.broken), *map(number, one.quartiles))
            for one in distances(section.outcomes)
        ),
    )


def _published(section: Merged) -> Table:
    rows = {(row.defence, row.attack): row for source in section.sources for row in published_rows(source.run)}
    bounds = sorted({bound for row in rows.values() for bound in row.robust})
    return Table(
        "Published metric",
        "As in arXiv 2412.03453: accuracy in % at each L2 bound is the share of images with a larger distance, with "
        "95 % Wilson intervals; 0 is the distance of what is misclassified anyway. The attack itself decides, once, "
        "what is a success, unless `attack.switches.success` is fixed: the tables above are scored on fresh draws.",
        (
            _DEFENCE,
            _ATTACK,
            _IMAGES,
            Column("clean", "given images that the attack saw classified rightly"),
            *(Column(f"L2 > {bound:g}", f"images broken no nearer than {bound:g}") for bound in bounds),
        ),
        tuple(
            (
                row.defence,
                row.attack,
                str(len(row.distances)),
                f"{100 * row.clean:.1f}",
                *(row.robust[bound].percent() if bound in row.robust else "–" for bound in bounds),
            )
            for row in rows.values()
        ),
    )
