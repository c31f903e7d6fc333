"""The weights file of the purifier ``nd-vae``."""

from __future__ import annotations

from mlvgm_robust.competitors.nd_vae.architecture import NDVAEArchitecture
from mlvgm_robust.competitors.nd_vae.network import NDVAE
from mlvgm_robust.competitors.network_file import NetworkFile

FILE = NetworkFile("mlvgm-nd-vae/1", NDVAEArchitecture, NDVAE)
