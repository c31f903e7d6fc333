"""State dicts of the two public key layouts, written down from their published description: names and shapes only."""

from __future__ import annotations

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def filled(shapes: Shapes, *, seed: int = 0) -> dict[str, Tensor]:
    """Random tensors of ``shapes``; variances are positive, masks 0 or 1, counters integers."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        tensor = 0.3 * torch.randn(shape, generator=generator)
        if name.endswith("running_var"):
            tensor = 0.5 + tensor.abs()
        if name.endswith("num_batches_tracked"):
            tensor = torch.tensor(1)
        state[name] = tensor
    return state


def _norm(name: str, channels: int) -> Shapes:
    vectors = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**vectors, f"{name}.num_batches_tracked": ()}


# --- SerezD ----------------------------------------------------------------------------------------------------------


def _serez_conv(name: str, outputs: int, inputs: int, kernel: int) -> Shapes:
    return {
        f"{name}.bias": (outputs,),
        f"{name}.parametrizations.weight.original0": (outputs, 1, 1, 1),
        f"{name}.parametrizations.weight.original1": (outputs, inputs, kernel, kernel),
    }


def _serez_gate(name: str, channels: int, gate: bool) -> Shapes:
    hidden = max(channels // 16, 4)
    if not gate:
        return {}
    return {
        f"{name}.linear_1.weight": (hidden, channels),
        f"{name}.linear_1.bias": (hidden,),
        f"{name}.linear_2.weight": (channels, hidden),
        f"{name}.linear_2.bias": (channels,),
    }


def _serez_residual(name: str, inputs: int, outputs: int, gate: bool) -> Shapes:
    skip = _serez_conv(f"{name}.skip_connection.conv", outputs, inputs, 1) if inputs != outputs else {}
    return {
        **_norm(f"{name}.residual.0", inputs),
        **_serez_conv(f"{name}.residual.2", outputs, inputs, 3),
        **_norm(f"{name}.residual.3", outputs),
        **_serez_conv(f"{name}.residual.5", outputs, outputs, 3),
        **_serez_gate(f"{name}.residual.6", outputs, gate),
        **skip,
    }


def _serez_inverted(name: str, inputs: int, outputs: int, expansion: int, gate: bool) -> Shapes:
    up, hidden = int(inputs != outputs), expansion * inputs
    skip = _serez_conv(f"{name}.skip_connection.conv", outputs, inputs, 1) if up else {}
    return {
        **_norm(f"{name}.residual.{up}", inputs),
        f"{name}.residual.{up + 1}.weight": (hidden, inputs, 1, 1),
        **_norm(f"{name}.residual.{up + 2}", hidden),
        f"{name}.residual.{up + 4}.weight": (hidden, 1, 5, 5),
        **_norm(f"{name}.residual.{up + 5}", hidden),
        f"{name}.residual.{up + 7}.weight": (outputs, hidden, 1, 1),
        **_norm(f"{name}.residual.{up + 8}", outputs),
        **_serez_gate(f"{name}.residual.{up + 9}", outputs, gate),
        **skip,
    }


def serez(
    *, groups: list[int], cells: int, latent: int, initial: int, mixtures: int, blocks: int, block_cells: int,
    side: int, gate: bool, flows: int = 0,
) -> Shapes:  # fmt: skip
    """The layout; ``groups`` coarse → fine, ``side`` of the coarsest feature map, ``flows`` pairs a latent."""
    scales = len(groups)
    widths = [initial * 2**blocks * 2 ** (scales - 1 - scale) for scale in range(scales)]
    out: Shapes = {"const_prior": (1, widths[0], side, side)}
    out |= _serez_conv("preprocessing_block.init_conv", initial, 3, 3)
    for block in range(blocks):
        width = initial * 2**block
        for cell in range(block_cells):
            outputs = 2 * width if cell == block_cells - 1 else width
            out |= _serez_residual(f"preprocessing_block.block_{block}.cell_{cell}", width, outputs, gate)
    for scale, width in enumerate(widths):
        for group in range(groups[scale]):
            for cell in range(cells):
                out |= _serez_residual(f"encoder_tower.scale_{scale}.group_{group}.cell_{cell}", width, width, gate)
            out |= _serez_conv(f"enc_sampler.sampler_{scale}:{group}", 2 * latent, width, 3)
            out |= _serez_conv(f"decoder_combiners.combiner_{scale}:{group}.conv", width, width + latent, 1)
            for flow in range(flows):
                for cell in ("cell1", "cell2"):
                    name = f"nf_cells.nf_{scale}:{group}.{flow}.{cell}.layers"
                    hidden = 6 * latent
                    shapes = {0: (hidden, latent, 3, 3), 2: (hidden, hidden, 5, 5), 4: (latent, hidden, 1, 1)}
                    for layer, shape in shapes.items():
                        out |= {f"{name}.{layer}.weight": shape, f"{name}.{layer}.bias": shape[:1]}
                        out[f"{name}.{layer}.mask"] = shape
            if (scale, group) == (0, 0):
                continue
            out |= _serez_conv(f"encoder_combiners.combiner_{scale}:{group}.conv", width, width, 1)
            out |= _serez_conv(f"dec_sampler.sampler_{scale}:{group}.1", 2 * latent, width, 1)
            for cell in range(cells):
                out |= _serez_inverted(f"decoder_tower.scale_{scale}.group_{group}.cell_{cell}", width, width, 6, gate)
        if scale > 0:
            out |= _serez_residual(f"encoder_tower.scale_{scale}.downsampling", width, 2 * width, gate)
        if scale < scales - 1:
            out |= _serez_inverted(f"decoder_tower.scale_{scale}.upsampling", width, width // 2, 6, gate)
    out |= _serez_conv("encoder_0.1", widths[0], widths[0], 1)
    for block in range(blocks):
        width = widths[-1] >> block
        for cell in range(block_cells):
            inputs, name = width if cell == 0 else width // 2, f"postprocessing_block.block_{block}.cell_{cell}"
            out |= _serez_inverted(name, inputs, width // 2, 3, gate)
    return out | _serez_conv("to_logits.1", 10 * mixtures, initial, 3)


# --- NVlabs ----------------------------------------------------------------------------------------------------------


def _nvlabs_conv(name: str, outputs: int, inputs: int, kernel: int, *, bias: bool = True) -> Shapes:
    shapes: Shapes = {
        f"{name}.weight": (outputs, inputs, kernel, kernel),
        f"{name}.log_weight_norm": (outputs, 1, 1, 1),
    }
    return shapes | ({f"{name}.bias": (outputs,)} if bias else {})


def _nvlabs_plain(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.weight_normalized": shape}


def _nvlabs_gate(name: str, channels: int, gate: bool) -> Shapes:
    hidden = max(channels // 16, 4)
    if not gate:
        return {}
    return {
        f"{name}.se.se.0.weight": (hidden, channels),
        f"{name}.se.se.0.bias": (hidden,),
        f"{name}.se.se.2.weight": (channels, hidden),
        f"{name}.se.se.2.bias": (channels,),
    }


def _nvlabs_residual(name: str, inputs: int, outputs: int, gate: bool) -> Shapes:
    out: Shapes = {}
    for number, channels in enumerate((inputs, outputs)):
        out |= _norm(f"{name}._ops.{number}.bn_act", channels)
        out |= _nvlabs_conv(f"{name}._ops.{number}.conv_0", outputs, channels, 3)
    if inputs != outputs:
        for number in (1, 2, 3, 4):
            out |= _nvlabs_conv(f"{name}.skip.conv_{number}", outputs // 4, inputs, 1)
    return out | _nvlabs_gate(name, outputs, gate)


def _nvlabs_inverted(name: str, inputs: int, outputs: int, expansion: int, gate: bool) -> Shapes:
    up, hidden = int(inputs != outputs), expansion * inputs
    ops = f"{name}._ops.0.conv"
    skip = _nvlabs_conv(f"{name}.skip.1", outputs, inputs, 1, bias=False) if up else {}
    return {
        **_norm(f"{ops}.{up}.bn", inputs),
        **_nvlabs_plain(f"{ops}.{up + 1}.conv.0", hidden, inputs, 1, 1),
        **_norm(f"{ops}.{up + 1}.conv.1", hidden),
        **_nvlabs_plain(f"{ops}.{up + 2}.conv.0", hidden, 1, 5, 5),
        **_norm(f"{ops}.{up + 2}.conv.1", hidden),
        **_nvlabs_plain(f"{ops}.{up + 3}", outputs, hidden, 1, 1),
        **_norm(f"{ops}.{up + 4}.bn", outputs),
        **_nvlabs_gate(name, outputs, gate),
        **skip,
    }


def nvlabs(
    *, groups: list[int], encoder_cells: int, decoder_cells: int, latent: int, encoder: int, decoder: int,
    head: int, colours: int, blocks: int, block_cells: int, side: int, gate: bool, flows: int = 0,
) -> Shapes:  # fmt: skip
    """The layout; ``groups`` coarse → fine, ``side`` of the coarsest feature map, ``flows`` pairs a latent."""
    scales = len(groups)
    top = 2**blocks
    out: Shapes = {"prior_ftr0": (decoder * top * 2 ** (scales - 1), side, side)}
    out |= _nvlabs_conv("stem", encoder, colours, 3)
    width = encoder
    for number in range(blocks * block_cells):
        outputs = 2 * width if (number + 1) % block_cells == 0 else width
        out |= _nvlabs_residual(f"pre_process.{number}", width, outputs, gate)
        width = outputs
    position = 0
    for scale in reversed(range(scales)):
        for group in range(groups[scale]):
            for _ in range(encoder_cells):
                out |= _nvlabs_residual(f"enc_tower.{position}", width, width, gate)
                position += 1
            if (scale, group) != (0, groups[0] - 1):
                # Latents are met in the opposite order, so the combiner has that decoder scale's width.
                state = decoder * top * 2 ** (scales - 1 - scale)
                out |= _nvlabs_conv(f"enc_tower.{position}.conv", width, state, 1)
                position += 1
        if scale > 0:
            out |= _nvlabs_residual(f"enc_tower.{position}", width, 2 * width, gate)
            position, width = position + 1, 2 * width
    out |= _nvlabs_conv("enc0.1", width, width, 1)
    position = latents = 0
    for scale in range(scales):
        state = decoder * top * 2 ** (scales - 1 - scale)
        features = encoder * top * 2 ** (scales - 1 - scale)
        for _ in range(groups[scale]):
            out |= _nvlabs_conv(f"enc_sampler.{latents}", 2 * latent, features, 3)
            if latents:
                out |= _nvlabs_conv(f"dec_sampler.{latents - 1}.1", 2 * latent, state, 1)
                for _ in range(decoder_cells):
                    out |= _nvlabs_inverted(f"dec_tower.{position}", state, state, 6, gate)
                    position += 1
            out |= _nvlabs_conv(f"dec_tower.{position}.conv", state, state + latent, 1)
            position += 1
            for flow in range(latents * flows, (latents + 1) * flows):
                for cell in ("cell1", "cell2"):
                    name = f"nf_cells.{flow}.{cell}"
                    out |= _nvlabs_conv(f"{name}.conv.convz.0", 6 * latent, latent, 3)
                    out |= _nvlabs_conv(f"{name}.conv.convz.2", 6 * latent, 1, 5)
                    out |= _nvlabs_conv(f"{name}.mu.conv_0", latent, 6 * latent, 1)
            latents += 1
        if scale < scales - 1:
            out |= _nvlabs_inverted(f"dec_tower.{position}", state, state // 2, 6, gate)
            position += 1
    width = decoder * top
    for number in range(blocks * block_cells):
        inputs = width
        width = width // 2 if number % block_cells == 0 else width
        out |= _nvlabs_inverted(f"post_process.{number}", inputs, width, 3, gate)
    return out | _nvlabs_conv("image_conditional.1", head, decoder, 3)
