"""Defences of other people for the audit to judge: flawed ones, whose robustness is an illusion, and honest ones.

Each is one small module from [0, 1] images to logits around a classifier that ships, so that
``mlvgm audit zoo.gradients:Detached`` works wherever ``tests`` is on the path. Its docstring says what is wrong.
"""

from __future__ import annotations
