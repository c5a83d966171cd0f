from __future__ import annotations

import pytest
import torch
from torch import Tensor

from realfusion.ops.adam import AdamSettings, adam_step_
from realfusion.ops.reference import adam as reference

SIZES = [(7,), (40_000, 2), (0,), (32, 16), (1,)]
NUM_TENSORS = len(SIZES)
LISTS = ("parameters", "gradients", "first_moments", "second_moments", "averages")


def make_tensors(device, sizes=SIZES, seed=0) -> dict[str, list[Tensor]]:
    generator = torch.Generator().manual_seed(seed)

    def draw(size: tuple[int, ...]) -> Tensor:
        return torch.randn(size, generator=generator).to(device)

    tensors = {name: [draw(size) for size in sizes] for name in LISTS}
    tensors["second_moments"] = [each.square() for each in tensors["second_moments"]]
    return tensors


def make_numbers(device, num_tensors=NUM_TENSORS, **changed) -> dict:
    numbers = {
        "count": torch.tensor(3.0, device=device),
        "rates": torch.linspace(1e-3, 1e-2, num_tensors, device=device),
        "weight_decays": [0.1 * k for k in range(num_tensors)],
        "withheld": torch.tensor(0.0, device=device),
        "loss_scale": torch.tensor(64.0, device=device),
        "average_share": torch.tensor(0.3, device=device),
        "settings": AdamSettings(betas=(0.9, 0.99), eps=1e-8),
    }
    return numbers | changed


@pytest.mark.parametrize("is_decoupled", [False, True])
@pytest.mark.parametrize("eps", [1e-15, 1e-5])
def test_steps_match_the_reference(device, simd_level, is_decoupled, eps):
    settings = AdamSettings(betas=(0.8, 0.95), eps=eps, is_decoupled=is_decoupled)
    native, twin = make_tensors(device), make_tensors(device)
    numbers, same = (make_numbers(device, settings=settings) for _ in range(2))
    for _ in range(3):
        adam_step_(**native, **numbers)
        reference.adam_step_(**twin, **same)
    assert numbers["count"] == same["count"] == 6.0
    for name in LISTS:
        for found, expected in zip(native[name], twin[name], strict=True):
            torch.testing.assert_close(found, expected, atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize(
    ("is_decoupled", "kind"), [(False, torch.optim.Adam), (True, torch.optim.AdamW)]
)
def test_it_is_torch_s_optimiser(device, simd_level, is_decoupled, kind):
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(1000, generator=generator).to(device)
    parameter = torch.nn.Parameter(start.clone())
    expected = kind([parameter], lr=1e-2, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.2)
    value, first, second = start.clone(), start * 0.0, start * 0.0
    average = start.clone()
    numbers = make_numbers(
        device,
        1,
        count=torch.tensor(0.0, device=device),
        rates=torch.tensor([1e-2], device=device),
        weight_decays=[0.2],
        settings=AdamSettings(betas=(0.9, 0.99), eps=1e-8, is_decoupled=is_decoupled),
    )
    for _ in range(5):
        gradient = torch.randn(1000, generator=generator).to(device)
        parameter.grad = gradient
        expected.step()
        adam_step_([value], [64.0 * gradient], [first], [second], [average], **numbers)
    torch.testing.assert_close(value, parameter.detach(), atol=1e-6, rtol=1e-5)


def test_a_withheld_step_changes_nothing(device, simd_level):
    tensors, untouched = make_tensors(device), make_tensors(device)
    tensors["gradients"] = [each * torch.nan for each in tensors["gradients"]]
    numbers = make_numbers(device, withheld=torch.tensor(1.0, device=device))
    adam_step_(**tensors, **numbers)
    assert numbers["count"] == 3.0
    for name in set(LISTS) - {"gradients"}:
        assert all(map(torch.equal, tensors[name], untouched[name])), name


def test_what_has_no_gradient_and_no_moments_stays(device, simd_level):
    """Levels of the grid that are not in use may be left out of a step."""
    tensors = make_tensors(device, [(1000, 2)])
    for name in ("gradients", "first_moments", "second_moments"):
        tensors[name][0].zero_()
    tensors["averages"] = [each.clone() for each in tensors["parameters"]]
    before = tensors["parameters"][0].clone()
    numbers = make_numbers(device, 1, settings=AdamSettings(eps=1e-15))
    adam_step_(**tensors, **numbers)
    assert torch.equal(tensors["parameters"][0], before)
    assert torch.equal(tensors["averages"][0], before)


def test_many_parameters_take_several_launches(device):
    sizes = [(k,) for k in range(1, 40)]
    native, twin = make_tensors(device, sizes), make_tensors(device, sizes)
    adam_step_(**native, **make_numbers(device, len(sizes)))
    reference.adam_step_(**twin, **make_numbers(device, len(sizes)))
    for found, expected in zip(native["averages"], twin["averages"], strict=True):
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=2e-5)


def test_the_number_of_threads_does_not_change_a_bit(simd_level):
    runs, num_threads = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            tensors = make_tensors("cpu")
            adam_step_(**tensors, **make_numbers("cpu"))
            runs.append(tensors)
    finally:
        torch.set_num_threads(num_threads)
    for run in runs[1:]:
        for name in LISTS:
            assert all(map(torch.equal, run[name], runs[0][name]))


def test_parameters_that_require_gradients_are_changed_in_place(device):
    tensors = make_tensors(device, [(5,)])
    parameter = torch.nn.Parameter(tensors["parameters"][0].clone())
    adam_step_(**{**tensors, "parameters": [parameter]}, **make_numbers(device, 1))
    assert parameter.is_leaf
    assert not torch.equal(parameter.detach(), tensors["parameters"][0])


def test_opdef_is_sound(device):
    numbers = make_numbers(device)
    settings = numbers.pop("settings")
    torch.library.opcheck(
        torch.ops.realfusion.adam_step_.default,
        (
            *make_tensors(device).values(),
            *numbers.values(),
            *settings.betas,
            settings.eps,
            settings.is_decoupled,
        ),
    )


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("gradients", lambda x: x[:1], "`gradients` must have as many tensors"),
        ("gradients", lambda x: [x[0][:-1], x[1]], "must be as large as `parameters`"),
        ("first_moments", lambda x: [x[0].double(), x[1]], "must be float32"),
        ("averages", lambda x: [x[0], x[1].T], "`averages` must be contiguous"),
        ("weight_decays", lambda x: x[:1], "`weight_decays` must have as many numbers"),
        ("rates", lambda x: x[:1], "`rates` must have shape"),
        ("count", lambda x: x[None], "`count` must have shape"),
        ("withheld", lambda x: x.double(), "`withheld` must be float32"),
    ],
)
def test_wrong_arguments_are_named(name, change, message):
    sizes = [(6,), (4, 3)]
    arguments = {**make_tensors("cpu", sizes), **make_numbers("cpu", len(sizes))}
    before = arguments["parameters"][1].clone()
    arguments[name] = change(arguments[name])
    with pytest.raises(RuntimeError, match=message):
        adam_step_(**arguments)
    assert torch.equal(arguments["parameters"][1], before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"betas": (0.9, 1.0)}, "`betas` must lie in"),
        ({"betas": (-0.1, 0.9)}, "`betas` must lie in"),
        ({"eps": -1e-8}, "`eps` must be finite"),
        ({"eps": float("nan")}, "`eps` must be finite"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AdamSettings(**options)
