"""Tensors of the host, on their way to a device that is not waited for."""

from __future__ import annotations

import torch
from torch import Tensor


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; from the host to CUDA without stopping the host.

    A copy from ordinary host memory waits for everything the device has queued. One
    from page-locked memory joins the queue instead; torch keeps the page-locked memory
    until the copy is done, and reuses it afterwards.

    Args:
        tensor: On any device.
        device: Where it is wanted.

    Returns:
        The tensor itself where it already is there.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def refill(target: Tensor, source: Tensor) -> None:
    """Copy a tensor of the host into one that stays where it is, as `send` does."""
    if target.is_cuda and source.device.type == "cpu":
        source = source.pin_memory()
    target.copy_(source, non_blocking=True)
