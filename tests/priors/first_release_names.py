"""A model of ours under the names of Stable Diffusion's first releases (LDM)."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from realfusion.priors.components import Components
from realfusion.priors.random_weights import ModelShape

UNET_PLACES = {
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "conv_in.": "input_blocks.0.0.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
    "mid_block.resnets.0.": "middle_block.0.",
    "mid_block.attentions.0.": "middle_block.1.",
    "mid_block.resnets.1.": "middle_block.2.",
}
RESNET_PARTS = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "time_emb_proj.": "emb_layers.1.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "conv_shortcut.": "skip_connection.",
}
OPEN_CLIP_PARTS = {
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.token_embedding.": "token_embedding.",
    "final_layer_norm.": "ln_final.",
    "encoder.layers.": "transformer.resblocks.",
    "layer_norm1.": "ln_1.",
    "layer_norm2.": "ln_2.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
    "self_attn.": "attn.",
}
ATTENTION_PARTS = {
    "group_norm.": "norm.",
    "to_q.": "q.",
    "to_k.": "k.",
    "to_v.": "v.",
    "to_out.0.": "proj_out.",
}


def _unet_name(name: str, shape: ModelShape) -> str:
    block_size, levels = shape.unet_layers + 1, len(shape.unet_channels)
    match = re.match(r"(down|up)_blocks\.(\d+)\.(\w+?)\.(\d+)\.(.*)", name)
    if match:
        side, block, kind, layer, rest = match.groups()
        start, place = int(block) * block_size, int(layer)
        if side == "down":
            index = start + 1 + (shape.unet_layers if kind[0] == "d" else place)
            name = f"input_blocks.{index}."
        else:
            index = start + (shape.unet_layers if kind[:2] == "up" else place)
            name = f"output_blocks.{index}."
        if kind == "downsamplers":
            return name + "0." + rest.replace("conv.", "op.")
        if kind == "upsamplers":
            has_attention = 0 < int(block) < levels
            return f"{name}{2 if has_attention else 1}.{rest}"
        name += ("0." if kind == "resnets" else "1.") + rest
    else:
        for ours, theirs in UNET_PLACES.items():
            if name.startswith(ours):
                name = theirs + name.removeprefix(ours)
    if ".transformer_blocks." not in name:
        for ours, theirs in RESNET_PARTS.items():
            name = name.replace("." + ours, "." + theirs)
    return name


def _vae_name(name: str, shape: ModelShape) -> str:
    last = len(shape.vae_channels) - 1
    name = re.sub(r"down_blocks\.(\d+)\.", r"down.\1.", name)
    name = re.sub(
        r"up_blocks\.(\d+)\.", lambda match: f"up.{last - int(match[1])}.", name
    )
    name = re.sub(
        r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name
    )
    name = name.replace(".resnets.", ".block.").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"(down|up)samplers\.0", r"\1sample", name)
    name = name.replace("conv_norm_out", "norm_out")
    if "mid_block.attentions.0." in name:
        name = name.replace("mid_block.attentions.0.", "mid.attn_1.")
        for ours, theirs in ATTENTION_PARTS.items():
            name = name.replace("." + ours, "." + theirs)
    return name


def _clip_weights(components: Components) -> dict[str, Tensor]:
    """The text encoder of version 1."""
    prefix = "cond_stage_model.transformer.text_model."
    states = components.text_encoder.state_dict()
    return {prefix + key.removeprefix("text_model."): states[key] for key in states}


def _open_clip_weights(components: Components) -> dict[str, Tensor]:
    """The text encoder of version 2: queries, keys and values in one matrix."""
    prefix, weights = "cond_stage_model.model.", {}
    for key, tensor in components.text_encoder.state_dict().items():
        name = key.removeprefix("text_model.")
        for ours, theirs in OPEN_CLIP_PARTS.items():
            name = name.replace(ours, theirs)
        weights[prefix + name] = tensor
    for name in [name for name in weights if ".attn.q_proj." in name]:
        parts = [weights.pop(name.replace(".q_", f".{each}_")) for each in "qkv"]
        weights[name.replace(".q_proj.", ".in_proj_")] = torch.cat(parts)
    return weights


def save_first_release(
    path: Path,
    components: Components,
    shape: ModelShape,
    metadata: dict[str, str] | None = None,
    *,
    is_open_clip: bool = False,
) -> None:
    """Write the networks into one file."""
    make_text = _open_clip_weights if is_open_clip else _clip_weights
    weights = {
        **{
            "model.diffusion_model." + _unet_name(name, shape): tensor
            for name, tensor in components.unet.state_dict().items()
        },
        **{
            "first_stage_model." + _vae_name(name, shape): tensor
            for name, tensor in components.vae.state_dict().items()
        },
        **make_text(components),
    }
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(contiguous, path, metadata={"format": "pt"} | (metadata or {}))
