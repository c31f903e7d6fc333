"""Audit the zoo: ``python -m zoo.run --budget standard -n 128 gradients.Detached honest`` (all of it without names).

Prints a row for each defence, with its verdict and the checks that speak against it.
"""

from __future__ import annotations

import argparse
import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module

import torch

from mlvgm.configuration.settings import Setting
from mlvgm.errors import InputError
from mlvgm_robust.audit.attempts import AuditContext
from mlvgm_robust.audit.evaluation import audit_config, build_checks, build_subject
from mlvgm_robust.audit.finding import Finding
from mlvgm_robust.audit.verdict import Verdict, audit

FLAWED = ("gradients", "randomness", "leaks", "outputs")
HONEST = "honest"


def names(kind: str) -> list[str]:
    """``MODULE.DEFENCE`` of everything a module of the zoo defines."""
    module = import_module(f"zoo.{kind}")
    found = [
        name
        for name, each in vars(module).items()
        if getattr(each, "__module__", "") == module.__name__ and not name.startswith("_") and _is_defence(each)
    ]
    return [f"{kind}.{name}" for name in found]


def _is_defence(each: object) -> bool:
    return inspect.isfunction(each) or (inspect.isclass(each) and issubclass(each, torch.nn.Module))


def told(name: str) -> str:
    """What is wrong with a defence, or what it is."""
    kind, _, defence = name.partition(".")
    return (inspect.getdoc(getattr(import_module(f"zoo.{kind}"), defence)) or "").split("\n\n")[0].replace("\n", " ")


def judge(
    name: str,
    *,
    budget: str = "standard",
    images: int | None = None,
    only: Sequence[str] = (),
    settings: dict[str, object] | None = None,
    whole: bool = True,
    found: Callable[[Finding], object] = lambda finding: None,
) -> Verdict:
    """The audit of one defence, as ``mlvgm audit zoo.MODULE:DEFENCE`` does it; to its first failure if not ``whole``.

    Raises:
        InputError: the defence is refused before any check.
    """
    chosen = {"budget": Setting(budget, "zoo"), **{k: Setting(v, "zoo") for k, v in (settings or {}).items()}}
    if images is not None:
        chosen["limit"] = Setting(images, "zoo")
    target = f"zoo.{name.replace('.', ':')}"
    torch.manual_seed(0)
    subject, _ = build_subject(audit_config(chosen, target=target, threads=1), target=target, classifier=False)
    checks, left_out = build_checks(chosen, budget=budget, only=only)
    if whole:
        return audit(subject, checks, left_out=left_out, found=found)
    findings, context = list[Finding](), AuditContext()
    for check in checks:
        verdict = audit(subject, [check], left_out=[], context=context, found=found)
        findings += verdict.findings
        if verdict.objections:
            return Verdict(tuple(findings), ("the others",))
    return Verdict(tuple(findings), tuple(left_out))


def rows(wanted: Sequence[str], **options: object) -> Iterator[tuple[str, Verdict | InputError, float]]:
    for kind in (*FLAWED, HONEST):
        for name in names(kind):
            if not wanted or name in wanted or kind in wanted:
                start = time.perf_counter()
                try:
                    verdict: Verdict | InputError = judge(name, **options)  # type: ignore[arg-type]
                except InputError as error:
                    verdict = error
                yield name, verdict, time.perf_counter() - start


def claimed(verdict: Verdict) -> str:
    """Robust accuracy under the attack under audit, and in the worst case of all that the audit ran."""
    (worst,) = [each.values for each in verdict.findings if each.check == "worst.case"] or [{}]
    return f"{100 * worst['own']:.0f} %, {100 * worst['robust']:.0f} %" if "own" in worst else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--budget", default="standard")
    parser.add_argument("-n", type=int, default=None)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--evidence", action="store_true")
    parser.add_argument("--whole", action="store_true", help="go on after the first failure")
    given = parser.parse_args()
    torch.set_num_threads(1)

    def show(finding: Finding) -> None:
        if given.evidence:
            print(f"    {finding.check}: {finding.status}: {finding.evidence}", flush=True)

    print("| defence | what it is | robust, worst case | verdict | by | s |", flush=True)
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    options = {"budget": given.budget, "images": given.n, "only": given.only, "whole": given.whole, "found": show}
    for name, verdict, seconds in rows(given.names, **options):
        if isinstance(verdict, InputError):
            said, by, claim = "refused", verdict.message.partition(" ")[2], "–"
        else:
            said = {True: "believable", False: "not believable", None: "no verdict"}[verdict.believable]
            by = ", ".join(f"`{each.check}`" for each in verdict.objections or verdict.untested) or "–"
            claim = claimed(verdict)
        print(f"| `{name}` | {told(name)} | {claim} | {said} | {by} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
