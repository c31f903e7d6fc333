"""Audit: can the robust accuracy of an evaluation be believed? The checks are plugins (:mod:`mlvgm.protocols.check`).

``evaluation`` builds what is audited, ``imported`` defences of other people among it. ``attempts`` runs attacks, each
once for all checks. ``verdict`` runs the checks and says what they come to, ``card`` writes it down.
"""
