"""Jobs, commands and kinds of plugins that this distribution brings: descriptors only, nothing heavy is imported."""

from __future__ import annotations

from mlvgm.plugins.descriptors import CommandComponent, JobComponent, KindComponent

purify_job = JobComponent(
    summary="Attack a classifier behind purifiers and baselines, and say how much each defends.",
    job="mlvgm_robust.purify.job:PurifyJob",
    command="mlvgm_robust.purify.command:purify",
    epilog=(
        "Examples: `mlvgm run purify --generator nvae --attack autoattack` · "
        "`mlvgm run purify --attack apgd-ce --set attack.eps=0.5 -n 256` · "
        "`mlvgm run purify --budget rigorous --json > result.json`"
    ),
)
alphas_job = JobComponent(
    summary="Choose alphas on adversarial images that fool pure reconstruction, and judge them on others.",
    job="",
    command="mlvgm_robust.alphas.command:alphas",
    epilog=(
        "Examples: `mlvgm run alphas --generator nvae --method energy` · "
        "`mlvgm run alphas --method bayes -n 1024 --set votes=32 --out chosen` · "
        "`mlvgm run alphas --method random --evaluations 128 --set attack.eps=0.5`"
    ),
)
score_job = JobComponent(
    summary="Score stored adversarial examples again, on the defences of their run or on another.",
    job="",
    command="mlvgm_robust.score.command:score",
    epilog=(
        "Examples: `mlvgm run score runs/study` · `mlvgm run score runs/study --seed 1` · "
        "`mlvgm run score runs/study --purifier blur` · `mlvgm run score theirs/ --purifier none --norm L2 --eps 1`"
    ),
)
purify_command = CommandComponent(
    summary="Purify every image of a folder once; file names are kept, purified images are PNG.",
    command="mlvgm_robust.folder.command:purify",
)
audit_command = CommandComponent(
    summary="Check whether the robust accuracy of a defence can be believed.",
    command="mlvgm_robust.audit.command:audit",
    epilog=(
        "Examples: `mlvgm audit --generator nvae` · `mlvgm audit my_defences:purified --attack apgd-ce --out audit` · "
        "`mlvgm audit --only sanity --only active.test --set check.active.test.images=64`"
    ),
)
checks_kind = KindComponent(
    summary="Checks of an audit.",
    protocol="mlvgm_robust.audit.check:Check",
    options="check.{name}",  # several run at once, so their options are told apart by name
)
alphas_kind = KindComponent(
    summary="Methods that choose alphas.",
    protocol="mlvgm_robust.alphas.method:AlphaMethod",
    options="method",
)
