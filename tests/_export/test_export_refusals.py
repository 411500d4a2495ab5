"""Unsupported operations are named with module and reason; the model is left untouched."""

from __future__ import annotations

import warnings
from contextlib import nullcontext, suppress
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from export_models import Calls, digits_cnn
from models import HuggingFaceLike, LanguageModel, Recurrent
from torch import Tensor, nn
from torch.torch_version import TorchVersion
from untouched import untouched

from landscape._export import Unsupported, lower, trace
from landscape._parameters import ParameterLayout


def refused(model: nn.Module, *inputs: Any) -> Unsupported:
    """The refusal, of a model that was left alone."""
    with untouched(model), pytest.raises(Unsupported) as caught:
        lower(trace(model, inputs), ParameterLayout.of(model), model)
    return caught.value


def of(forward: Any, shape: tuple[int, ...] = (4,), **members: Any) -> Unsupported:
    """The refusal of a forward that reads a linear layer, a parameter, a buffer."""
    given = {"a": nn.Linear(4, 4), "w": nn.Parameter(torch.ones(4)), "b": torch.ones(4), **members}
    return refused(Calls(forward, **given), torch.randn(3, *shape))


def _no_grad(m: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        y = m.a(x)
    found: Tensor = m.a(x) + y
    return found


class Straight(torch.autograd.Function):
    """The sign, with the derivative of the identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.sign()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


straight = Straight.apply

OPERATIONS: dict[str, tuple[Any, tuple[int, ...], str, str]] = {
    "unknown": (lambda m, x: torch.sort(m.a(x))[0], (4,), "aten.sort.default", "not supported"),
    "softmax": (lambda m, x: m.a(x).softmax(1), (4,), "aten.softmax.int", "not supported"),
    "clamp": (lambda m, x: m.a(x).clamp(min=0), (4,), "aten.clamp.default", "not supported"),
    "product": (lambda m, x: x * m.a(x), (4,), "aten.mul.Tensor", "two values"),
    "attention": (lambda m, x: x @ x.mT, (2, 4), "aten.mT.default", "exchanges"),
    "matrices": (lambda m, x: x @ x, (4, 4), "aten.matmul.default", "two values"),
    "permute": (lambda m, x: x.permute(0, 2, 1), (2, 4), "aten.permute.default", "transposition"),
    "turned": (lambda m, x: x @ m.a.weight, (4,), "aten.matmul.default", "(in, out)"),
    "turned too": (
        lambda m, x: F.linear(x, m.a.weight.t()),
        (4,),
        "aten.linear.default",
        "transposed",
    ),
    "tokens": (lambda m, x: m.a(x), (2, 4), "aten.linear.default", "last axis"),
    "detached": (lambda m, x: m.a(x).detach() + x, (4,), "aten.detach.default", "derivative"),
    "no_grad": (_no_grad, (4,), "wrap_with_set_grad_enabled", "derivative"),
    "own derivative": (lambda m, x: Straight.apply(m.a(x)), (4,), "Straight", "derivative"),
    "bound": (lambda m, x: m.a(straight(m.a(x))), (4,), "Straight", "derivative"),
    "dropout on": (lambda m, x: F.dropout(x), (4,), "aten.dropout.default", "at random"),
    "noise": (lambda m, x: x + torch.randn(4), (4,), "aten.randn.default", "not supported"),
    "batch mean": (lambda m, x: x - x.mean(0, keepdim=True), (4,), "aten.mean.dim", "batch"),
    "batch sum": (lambda m, x: x / x.sum(), (4,), "aten.sum.default", "not supported"),
    "batch size": (lambda m, x: x / x.shape[0], (4,), "aten.div.Tensor", "numbers and constants"),
    "first samples": (lambda m, x: x[:2], (4,), "aten.slice.Tensor", "batch"),
    "flat batch": (lambda m, x: x.flatten(), (4,), "aten.flatten.using_ints", "one row a sample"),
    "two rows": (lambda m, x: x.view(-1, 2), (4,), "aten.view.default", "one row a sample"),
    "batch joined": (lambda m, x: torch.cat([x, x]), (4,), "aten.cat.default", "batch"),
    "every other sample": (lambda m, x: x[::2], (4,), "torch.export", "batch size"),
    "zeros joined": (
        lambda m, x: torch.cat([x, torch.zeros(x.shape[0], 2)], 1),
        (4,),
        "aten.zeros.default",
        "not supported",
    ),
    "columns joined": (lambda m, x: torch.cat([x, x], 2), (2, 4), "aten.cat.default", "channels"),
    "grown": (lambda m, x: x[:, :1] + x, (4,), "aten.add.Tensor", "shapes"),
    "grown by w": (lambda m, x: x[:, :1] + m.w, (4,), "aten.add.Tensor", ""),
    "double": (lambda m, x: x.double(), (4,), "aten.to.dtype", "float64"),
    "half": (lambda m, x: x.half().float(), (4,), "aten.to.dtype", "float16"),
    "parameters alone": (lambda m, x: x * (m.w * m.w), (4,), "aten.mul.Tensor", "parameters alone"),
    "exp of w": (lambda m, x: x * m.w.exp(), (4,), "aten.exp.default", "not supported"),
    "input written": (lambda m, x: x.relu_(), (4,), "aten.relu_.default", "changes an input"),
    "buffer written": (lambda m, x: x * m.b.add_(1), (4,), "aten.add_.Tensor", "changes an input"),
    "part written": (
        lambda m, x: (y := m.a(x), y[:, 0].fill_(0), y)[-1],
        (4,),
        "aten.fill_.Scalar",
        "not supported",
    ),
    "reflected": (
        lambda m, x: F.pad(x, (1, 1), mode="reflect"),
        (2, 4),
        "aten.pad.default",
        "reflect",
    ),
    "cropped": (lambda m, x: F.pad(x, (-1, 0)), (4,), "aten.pad.default", "negative"),
    "batch padded": (lambda m, x: F.pad(x, (0, 0, 1, 0)), (4,), "aten.pad.default", "batch"),
    "infinite pad": (
        lambda m, x: F.pad(x, (1, 0), value=-torch.inf),
        (4,),
        "aten.pad.default",
        "infinite",
    ),
    "over the edge": (
        lambda m, x: F.avg_pool2d(x, 2, ceil_mode=True),
        (1, 5, 5),
        "aten.avg_pool2d.default",
        "ceil_mode",
    ),
    "unequal windows": (
        lambda m, x: F.adaptive_avg_pool2d(x, 2),
        (1, 5, 5),
        "aten.adaptive_avg_pool2d.default",
        "differ",
    ),
    "some features": (
        lambda m, x: F.layer_norm(x, (4,)),
        (2, 4),
        "aten.layer_norm.default",
        "not all",
    ),
    "batch statistics": (
        lambda m, x: F.batch_norm(x, None, None, training=True),
        (4,),
        "aten.batch_norm.default",
        "batch",
    ),
    "volumes": (lambda m, x: x.view(-1, 2, 2, 2, 2) + 1, (4, 4), "aten.view.default", "three axes"),
    "on values": (lambda m, x: x if x.sum() > 0 else -x, (4,), "torch.export", "data-dependent"),
    "on the batch": (lambda m, x: x if x.shape[0] < 9 else -x, (4,), "torch.export", "batch size"),
    "fixed batch": (lambda m, x: x.view(3, 4), (4,), "torch.export", "batch size"),
    "numpy": (lambda m, x: torch.from_numpy(x.detach().numpy()), (4,), "torch.export", "numpy"),
    "tuple": (lambda m, x: (m.a(x), x), (4,), "output", "tuple"),
    "tuple of one": (lambda m, x: (m.a(x),), (4,), "output", "tuple"),
    "dict": (lambda m, x: {"logits": x}, (4,), "output", "dict"),
    "number": (lambda m, x: 3, (4,), "output", "3"),
    "parameter": (lambda m, x: m.w, (4,), "output", "input"),
    "axes": (lambda m, x: x + 1, (1, 1, 1, 2), "input", "axes"),
}


@pytest.mark.parametrize(
    ("forward", "shape", "operation", "why"), OPERATIONS.values(), ids=OPERATIONS.keys()
)
def test_operations(
    forward: Any, shape: tuple[int, ...], operation: str, why: str, capfd: Any
) -> None:
    error = of(forward, shape)
    assert error.operation == operation
    assert why in error.why
    assert capfd.readouterr() == ("", "")


def test_the_module_that_asked_is_named() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Hardswish()))
    error = refused(model, torch.randn(2, 4))
    assert str(error) == "aten.hardswish.default in 1.0: this operation is not supported"


def test_batch_norm_without_running_statistics() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False))
    assert "in 1: it normalises by the batch" in str(refused(model, torch.randn(3, 4)))


def test_models_of_language_are_refused_by_their_inputs_or_outputs() -> None:
    tokens = torch.randint(7, (3, 4))
    assert "int64" in refused(LanguageModel(), tokens).why
    assert "int64" in refused(Recurrent(), tokens).why
    refused(HuggingFaceLike(), tokens)
    assert of(lambda m, x: SimpleNamespace(logits=m.a(x))).operation in ("output", "torch.export")


def test_more_inputs_than_one() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            found: Tensor = self.a(x) + y
            return found

    assert "2 tensors" in refused(Two(), torch.randn(3, 4), torch.randn(3, 4)).why
    assert "float16" in refused(nn.Linear(4, 4).half(), torch.randn(2, 4).half()).why
    assert refused(nn.Linear(4, 4), torch.randn(0, 4)).operation == "input"
    assert refused(nn.Linear(4, 4), torch.tensor(1.0)).operation == "input"


def test_a_varied_parameter_in_half_precision() -> None:
    model = Calls(lambda m, x: F.linear(x, m.w.float()), w=nn.Parameter(torch.ones(4, 4).half()))
    assert "float16" in refused(model, torch.randn(2, 4)).why


def test_hooks_are_not_run_on_anything() -> None:
    seen: list[Any] = []
    for register in ("register_forward_hook", "register_forward_pre_hook"):
        model = nn.Sequential(nn.Linear(4, 4))
        getattr(model[0], register)(lambda *given: seen.append(given))
        assert "hooks" in refused(model, torch.randn(2, 4)).why
    model = nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 4)))
    assert "hooks" in refused(model, torch.randn(2, 4)).why
    assert not seen


def test_a_forward_that_leaves_traces_is_cleaned_up() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        m.count += 1
        m.b = m.b + 1
        torch.randn(3)
        found: Tensor = m.a(x)
        return found

    model = Calls(forward, a=nn.Linear(4, 4), b=torch.ones(4), count=0)
    x = torch.randn(2, 4)
    with untouched(model):
        lower(trace(model, x), ParameterLayout.of(model), model)
    assert model.__dict__["count"] == 0


def test_tensors_that_a_forward_keeps_are_removed() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        m.seen.append(x)
        m.last = x
        found: Tensor = m.a(x)
        return found

    model, x = Calls(forward, a=nn.Linear(4, 4), seen=[]), torch.randn(2, 4)
    older = torch.__version__ < TorchVersion("2.15")  # of which some refuse such models
    with untouched(model), suppress(Unsupported) if older else nullcontext():
        lower(trace(model, x), ParameterLayout.of(model), model)
    assert model.__dict__["seen"] == []
    assert "last" not in model.__dict__


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_under_other_modes(mode: Any) -> None:
    model = digits_cnn()
    plain = lower(trace(model, torch.randn(2, 1, 8, 8)), ParameterLayout.of(model), model)
    model(torch.randn(2, 1, 8, 8)).sum().backward()
    with mode():
        example = torch.randn(1, 1, 8, 8)
    with untouched(model), mode(), torch.autocast("cpu", torch.bfloat16):
        found = lower(trace(model, example), ParameterLayout.of(model), model)
    assert found.graph == plain.graph


def test_filters_of_warnings_come_back() -> None:
    before = list(warnings.filters)
    trace(nn.Linear(4, 4), torch.randn(2, 4))
    assert warnings.filters == before
