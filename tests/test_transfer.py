"""Tensors arrive on their device as they left."""

import torch

from realfusion.transfer import refill, send


def test_what_is_sent_arrives(device):
    tensor = torch.arange(12, dtype=torch.float64).reshape(3, 4)
    sent = send(tensor, device)
    assert sent.device.type == device.type
    assert sent.dtype is torch.float64
    assert torch.equal(sent.cpu(), tensor)
    assert send(sent, sent.device) is sent


def test_a_refilled_tensor_stays_where_it_is(device):
    target = torch.zeros(3, device=device)
    address = target.data_ptr()
    refill(target, torch.tensor([1.0, 2.0, 3.0]))
    assert target.data_ptr() == address
    assert target.tolist() == [1.0, 2.0, 3.0]
