"""Models that differ outside theta: refused with what differs, accepted as the first, or equal."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import ConvNet, classes, images, seeded
from torch import Tensor, nn
from untouched import untouched

import landscape
from landscape._outside import compare_outside

pytestmark = pytest.mark.filterwarnings("ignore:the barrier:UserWarning")
DATA = classes(40)
FEATURES = 5


class Shifted(nn.Module):
    """A hidden layer behind inputs from which a buffer is subtracted."""

    mean: Tensor

    def __init__(self, mean: float = 0.0, activation: Callable[[], nn.Module] = nn.Tanh) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((FEATURES,), mean))
        self.hidden, self.activation, self.head = (
            nn.Linear(FEATURES, 6),
            activation(),
            nn.Linear(6, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.activation(self.hidden(x - self.mean)))
        return found


def pair(**options: Any) -> tuple[Any, Any]:
    """Two models of different weights; the second with options of its own."""
    return seeded(Shifted, 1), seeded(lambda: Shifted(**options), 2)


def by_itself(model: nn.Module, data: Any = DATA) -> float:
    with torch.no_grad():
        return F.cross_entropy(model.eval()(data[0]).double(), data[1]).item()


SHORT = landscape.AutoNEB(cycles=[(2, 0.02)])
JOINING: dict[str, Callable[..., Any]] = {
    "line": lambda a, b, **o: landscape.line(a, DATA, to=b, points=3, engine="torch", **o),
    "surface": lambda a, b, **o: landscape.surface(
        a, DATA, directions=landscape.plane(seeded(Shifted, 3), b), points=2, engine="torch", **o
    ),
    "pca": lambda a, b, **o: landscape.surface(
        a, DATA, directions=landscape.pca([a, seeded(Shifted, 3), b]), points=2, engine="torch", **o
    ),
    "curvature_map": lambda a, b, **o: landscape.curvature_map(
        a,
        DATA,
        directions=landscape.plane(seeded(Shifted, 3), b),
        points=2,
        max_products=12,
        engine="torch",
        **o,
    ),
    "barrier": lambda a, b, **o: landscape.barrier(a, b, DATA, points=3, engine="torch", **o),
    "connect": lambda a, b, **o: landscape.connect(
        a, b, DATA, method=SHORT, points=3, engine="torch", **o
    ),
    "aligned": lambda a, b, **o: landscape.barrier(
        a, b, DATA, points=3, align=True, engine="torch", **o
    ),
    "connect_all": lambda a, b, **o: landscape.connect_all(
        [a, seeded(Shifted, 3), b], DATA, method=landscape.Linear(), points=3, engine="torch", **o
    ),
    "instability": lambda a, b, **o: landscape.instability(
        a, b, DATA, points=3, engine="torch", **o
    ),
    "simplex": lambda a, b, **o: landscape.simplex(
        [a, seeded(Shifted, 3), b], DATA, cycles=[(2, 0.01)], points=2, engine="torch", **o
    ),
    "align": lambda a, b, **o: landscape.align(a, b, DATA, **o),
    "align without data": landscape.align,
    "merge": lambda a, b, **o: landscape.merge([a, b], DATA, **o),
    "repair": lambda a, b, **o: landscape.repair(a, b, DATA, **o),
}


@pytest.mark.parametrize("name", JOINING)
def test_every_function_of_several_models_refuses_another_function(name: str) -> None:
    a, b = pair(mean=3.0)
    join = JOINING[name]
    with untouched(a), untouched(b):
        with pytest.raises(ValueError, match=r"buffer mean \(by up to 3.*outside='first'"):
            join(a, b)
        made = join(a, b, outside="first")
    run = getattr(made, "run", None)
    if run is not None:
        assert any("outside='first'" in note for note in run.notes) or name == "aligned"
    with pytest.raises(ValueError, match="outside='last'"):
        join(a, b, outside="last")
    join(a, seeded(Shifted, 2))


def test_the_loss_of_the_first_is_what_first_means() -> None:
    a, b = pair(mean=3.0)
    swapped = seeded(Shifted, 2)
    path = landscape.barrier(a, b, DATA, points=3, outside="first")
    assert path.losses[-1] == pytest.approx(by_itself(swapped), rel=1e-6)
    assert "mean" in repr(path)
    everyone = landscape.connect_all(
        [a, b, seeded(Shifted, 3)], DATA, method="linear", points=3, outside="first"
    )
    assert everyone.losses[1] == pytest.approx(by_itself(swapped), rel=1e-6)
    found = landscape.align(a, b, DATA, outside="first")
    assert by_itself(found.model) == pytest.approx(by_itself(swapped), rel=1e-5)
    middle = landscape.merge([a, b], outside="first").model
    assert torch.equal(middle.get_buffer("mean"), a.get_buffer("mean"))


def frozen_layer(a: Any, b: Any) -> str:
    for model in (a, b):
        model.get_submodule("hidden").requires_grad_(requires_grad=False)
    return r"frozen parameter hidden\.weight \(by up to"


def other_activation(a: Any, b: Any) -> str:
    b.activation = nn.ReLU()
    return r"module activation \(Tanh against ReLU\)"


def other_option(a: Any, b: Any) -> str:
    a.activation, b.activation = nn.LeakyReLU(0.1), nn.LeakyReLU(0.4)
    return r"activation\.negative_slope \(0\.1 against 0\.4\)"


def other_forward(a: Any, b: Any) -> str:
    b.forward = lambda x: 2 * b.head(b.activation(b.hidden(x)))
    return r"forward \(absent against <lambda>\)"


def hook(a: Any, b: Any) -> str:
    b.get_submodule("hidden").register_forward_hook(lambda _, __, output: output + 1)
    return r"hidden\._forward_hooks"


def plain_tensor(a: Any, b: Any) -> str:
    for model, value in ((a, 0.0), (b, 1.0)):
        del model._buffers["mean"]
        model.mean = torch.full((FEATURES,), value)
    return r"mean \(a tensor of shape \(5,\) against"


class Listed(Shifted):
    """A layer in a plain list, which is no part of theta."""

    extra: list[nn.Module]

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.extra[0](super().forward(x))
        return found


def listed(a: Any, b: Any) -> str:
    for seed, model in enumerate((a, b)):
        model.extra = [seeded(lambda: nn.Linear(3, 3), seed)]
        model.__class__ = Listed
    return r"extra \("


def redefined(a: Any, b: Any) -> str:
    """The class of the same name, defined again with another forward."""

    def forward(self: Any, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.activation(self.hidden(x))) * 3
        return found

    twin = type("Shifted", (Shifted,), {"forward": forward})
    twin.__qualname__, twin.__module__ = Shifted.__qualname__, Shifted.__module__
    b.__class__ = twin
    return "nothing that can be seen in their modules"


def closure(a: Any, b: Any) -> str:
    def scaled(factor: float) -> Callable[[Tensor], Tensor]:
        return lambda x: torch.tanh(factor * x)

    for model, factor in ((a, 1.0), (b, 2.0)):
        del model._modules["activation"]
        model.activation = scaled(factor)
    return r"activation \(<lambda> against <lambda>\)"


@pytest.mark.parametrize(
    "differ",
    [
        *(frozen_layer, other_activation, other_option, other_forward, hook, plain_tensor, listed),
        *(redefined, closure),
    ],
)
def test_what_differs_is_named(differ: Callable[[Any, Any], str]) -> None:
    a, b = pair()
    expected = differ(a, b)
    with pytest.raises(ValueError, match=expected):
        landscape.barrier(a, b, DATA, points=3)
    path = landscape.barrier(a, b, DATA, points=3, outside="first", engine="torch")
    assert path.losses[0] == pytest.approx(by_itself(a), rel=1e-6)


def test_parameters_that_are_left_out_are_frozen() -> None:
    a, b = pair()
    with pytest.raises(ValueError, match=r"frozen parameter hidden\.weight"):
        landscape.barrier(a, b, DATA, points=3, parameters="head")
    b.get_submodule("hidden").load_state_dict(a.get_submodule("hidden").state_dict())
    path = landscape.barrier(a, b, DATA, points=3, parameters="head")
    assert path.losses[-1] == pytest.approx(by_itself(b), rel=1e-6)


class Tied(nn.Module):
    def __init__(self, *, tied: bool) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, FEATURES)
        if tied:
            self.decode.weight = self.encode.weight
        self.head = nn.Linear(FEATURES, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.decode(torch.tanh(self.encode(x))))
        return found


@pytest.mark.parametrize("as_weights", [False, True])
def test_a_tie_that_the_other_lacks_is_a_difference(as_weights: bool) -> None:
    a, b = seeded(lambda: Tied(tied=True)), seeded(lambda: Tied(tied=False), 1)
    other: Any = b.state_dict() if as_weights else b
    expected = "are one tensor in the first model" if as_weights else r"decode\.weight is tied"
    with pytest.raises(ValueError, match=expected):
        landscape.barrier(a, other, DATA, points=3)
    b.decode.load_state_dict({**b.decode.state_dict(), "weight": b.encode.weight})
    path = landscape.barrier(a, b, DATA, points=3)
    assert path.losses[-1] == pytest.approx(by_itself(b), rel=1e-6)


def test_state_dicts_are_compared_by_their_buffers() -> None:
    a, b = pair(mean=3.0)
    with pytest.raises(ValueError, match="buffer mean"):
        landscape.line(a, DATA, to=b.state_dict(), points=3)
    with pytest.raises(ValueError, match="buffer mean"):
        landscape.align(a, b.state_dict(), DATA)
    weights = {name: p.detach() for name, p in b.named_parameters()}
    path = landscape.barrier(a, weights, DATA, points=3)
    assert any("comes without buffer mean" in note for note in path.run.notes)
    flat = landscape.Objective(b, DATA).theta
    assert not any("mean" in n for n in landscape.barrier(a, flat, DATA, points=3).run.notes)


def test_what_leaves_the_loss_as_it_is_is_a_note() -> None:
    a, b = pair()
    for model, count in ((a, 1), (b, 2)):
        model.register_buffer("unused", torch.tensor(float(count)))
        model.name = f"model {count}"
    path = landscape.barrier(a, b, DATA, points=3)
    (note,) = [note for note in path.run.notes if "unused" in note]
    assert "its loss is the same" in note
    assert "name ('model 1' against 'model 2')" in note


def test_equal_models_cost_no_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a model was evaluated by itself")

    a, b = seeded(ConvNet), seeded(ConvNet, 1)
    for model in (a, b):
        model.train()(images(24)[0])
    monkeypatch.setattr("landscape._objective.Objective.with_model", refuse)
    objective = landscape.Objective(a, images(24))
    for other in (b, copy.deepcopy(a), b.state_dict()):
        assert compare_outside(objective, other, name="b", outside="error") == ()


@pytest.mark.parametrize("policy", ["frozen", "recalibrated", "batch"])
def test_batch_norm_statistics_follow_their_policy(policy: Any) -> None:
    a, b = seeded(ConvNet), seeded(ConvNet, 1)
    for factor, model in enumerate((a, b), start=1):
        model.train()(images(24)[0] * factor)
    path = landscape.barrier(a, b, images(24), points=3, batch_norm=policy)
    assert not any("differs" in note for note in path.run.notes)
    b.register_buffer("offset", torch.ones(3))
    b.forward = lambda x: ConvNet.forward(b, x) + torch.arange(3) * b.offset  # type: ignore
    with pytest.raises(ValueError, match="buffer offset"):
        landscape.barrier(a, b, images(24), points=3, batch_norm=policy)


def test_a_model_that_cannot_run_by_itself_is_named() -> None:
    a, b = pair()

    def forward(x: Tensor) -> Tensor:
        raise RuntimeError("no such kernel")

    b.forward = forward
    with pytest.raises(ValueError, match=r"model_b cannot be evaluated by itself.*no such kernel"):
        landscape.barrier(a, b, DATA, points=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, that scripting is deprecated
        scripted = torch.jit.script(seeded(lambda: nn.Linear(FEATURES, 3), 4))
    with pytest.raises(TypeError, match="model_b: model is a ScriptModule"):
        landscape.barrier(nn.Linear(FEATURES, 3), scripted, DATA, points=3)


def test_other_dtypes_and_wrappers_are_no_difference() -> None:
    a, b = pair()
    landscape.barrier(a, nn.DataParallel(copy.deepcopy(b)), DATA, points=3)
    path = landscape.barrier(a, copy.deepcopy(b).double(), DATA, points=3)
    assert path.losses[-1] == pytest.approx(by_itself(b), rel=1e-6)
    b.name = "differs, so that losses are compared"
    landscape.barrier(a, copy.deepcopy(b).double(), DATA, points=3)


def test_outside_needs_other_models() -> None:
    with pytest.raises(ValueError, match="none lies on these axes"):
        landscape.surface(seeded(Shifted), DATA, points=2, outside="first")
    with pytest.raises(ValueError, match="none lies on these axes"):
        landscape.line(seeded(Shifted), DATA, points=2, outside="first")


def test_a_frozen_layer_that_both_share_keeps_its_units() -> None:
    """Its permuted form would not be the first model's, which counts on the whole path."""
    widths = (nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 3))
    a, b = nn.Sequential(*widths), nn.Sequential(*copy.deepcopy(widths))
    for seed, model in enumerate((a, b)):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
    b[0].load_state_dict(a[0].state_dict())
    for model in (a, b):
        model[0].requires_grad_(requires_grad=False)
    path = landscape.barrier(a, b, DATA, points=3, align=True)
    assert path.losses[-1] == pytest.approx(by_itself(b), rel=1e-5)
    found = landscape.align(a, b, DATA)
    assert (found.permutations["0"] == np.arange(6)).all()
    assert found.moved > 0
