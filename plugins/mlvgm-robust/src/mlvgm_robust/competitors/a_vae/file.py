"""The weights file of the purifier ``a-vae``."""

from __future__ import annotations

from mlvgm_robust.competitors.a_vae.architecture import AVAEArchitecture
from mlvgm_robust.competitors.a_vae.network import AVAE
from mlvgm_robust.competitors.network_file import NetworkFile

FILE = NetworkFile("mlvgm-a-vae/1", AVAEArchitecture, AVAE)
