"""The frame: what is measured, planned, kept, resumed, interrupted and refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from models import classes, seeded
from quadratic_models import blobs, quadratic, relu_mlp
from torch import nn
from untouched import untouched

import landscape
from landscape._results import Invariance
from landscape._sharpness.context import Context
from landscape._sharpness.definition import Definition, Outcome
from landscape._sharpness.table import SETS, TABLE, read_measures
from landscape.measures import SAM, NoiseRise

NAMES = ["max_eigenvalue", "sam", "noise_rise", "norms"]


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_measures_come_in_the_order_asked_for_and_the_model_is_untouched(engine: Any) -> None:
    model, data = relu_mlp(), blobs()
    with untouched(model):
        found = landscape.sharpness(model, data, measures=NAMES, engine=engine)
    assert list(found) == NAMES
    assert [m.name for m in found.measures] == NAMES
    assert found.loss == pytest.approx(landscape.Objective(model, data).loss(), rel=1e-6)
    assert found.dim == sum(p.numel() for p in model.parameters())
    for name in NAMES:
        assert found[name].is_applicable
        assert found[name].reference
    assert found.run.engine.startswith(engine)
    with pytest.raises(KeyError, match="there is no measure 'trace'; there are max_eigenvalue"):
        found["trace"]


def test_both_engines_agree() -> None:
    one, other = (
        landscape.sharpness(
            relu_mlp(), blobs(), measures=["standard", "worst_case_sharpness"], engine=engine
        )
        for engine in ("torch", "native")
    )
    for name in one:
        if one[name].is_applicable:
            assert float(one[name]) == pytest.approx(float(other[name]), rel=2e-3), name


def test_the_standard_set_is_that_of_the_documentation_and_fast_is_cheap() -> None:
    assert SETS["standard"] == (
        *("max_eigenvalue", "trace", "keskar", "sam", "adaptive_sam", "noise_rise"),
        *("norms", "margin", "generalisation_gap"),
    )
    assert tuple(TABLE) == SETS["all"]
    model, data = relu_mlp(), blobs()
    plan = landscape.plan_sharpness(model, data, measures="fast", test=data)
    assert plan.cost < 10
    found = landscape.sharpness(model, data, measures="fast", test=data)
    assert found.run.evaluations < 10
    assert all(m.cost <= p.cost + 1e-9 for m, p in zip(found.measures, plan.measures, strict=True))


def test_a_plan_evaluates_nothing_and_names_what_does_not_apply() -> None:
    class Counted(type(relu_mlp())):  # type: ignore[misc]  # a Sequential that counts its calls
        calls = 0

        def forward(self, x: Any) -> Any:
            type(self).calls += 1
            return super().forward(x)

    model = Counted(*relu_mlp())
    objective = landscape.Objective(model, blobs())
    before = Counted.calls
    plan = landscape.plan_sharpness(objective, measures=["sam", "generalisation_gap"])
    assert Counted.calls == before
    assert [m.status.split(":")[0] for m in plan.measures] == ["planned", "not applicable"]
    assert plan.measures[1].cost == 0
    assert str(plan).splitlines()[-1].split() == ["total", f"{plan.cost:.1f}"]


def test_what_does_not_apply_is_a_reason_and_never_a_number() -> None:
    found = landscape.sharpness(*quadratic([1.0, 2.0]), measures=["margin", "sam"])
    assert found["margin"].value is None
    assert found["margin"].status.startswith("not applicable: ")
    assert found["margin"].rescaling == found["margin"].permutation == "not applicable"
    with pytest.raises(ValueError, match="margin has no value: not applicable"):
        float(found["margin"])
    assert found["margin"].status in repr(found)


def test_points_that_are_no_minima_are_said_so() -> None:
    model, data = quadratic([1.0, 2.0], [1.0, 1.0])
    found = landscape.sharpness(model, data, measures=["sam"])
    assert found.is_minimum is False
    assert "no minimum" in repr(found)
    # steepest descent along g from a quadratic: the best of the lengths tried is below g'g / 2 h
    assert found.descent_gain is not None
    assert 0.1 * found.loss < found.descent_gain <= found.loss
    assert landscape.sharpness(*quadratic([1.0, 2.0]), measures=["sam"]).is_minimum
    assert landscape.sharpness(model, data, measures=["norms"]).is_minimum is None


def test_shared_values_are_charged_to_each_and_counted_once() -> None:
    objective = landscape.Objective(relu_mlp(), blobs(), engine="torch")
    both = landscape.sharpness(objective, measures=["sam", "adaptive_sam"])
    for name in both:
        alone = landscape.sharpness(objective, measures=[name])
        assert alone[name].cost == pytest.approx(both[name].cost) == pytest.approx(5 / 3)
        assert alone[name].value == both[name].value
    # one gradient, three losses and the five of the descent gain
    assert both.run.evaluations == int(np.ceil(1 + (3 + 5) / 3))


def test_numbers_do_not_depend_on_the_other_measures_or_their_order() -> None:
    objective = landscape.Objective(relu_mlp(), blobs(), engine="torch")
    one = landscape.sharpness(objective, measures=["noise_rise", "trace", "keskar"])
    other = landscape.sharpness(objective, measures=["keskar", "trace", "noise_rise"])
    for name in one:
        assert one[name].value == other[name].value
        assert one[name].interval == other[name].interval


def test_options_travel_with_the_measure_and_a_set_yields_to_them() -> None:
    model, data = relu_mlp(), blobs()
    found = landscape.sharpness(model, data, measures=["fast", SAM(radius=0.3)])
    assert found["sam"].options == {"radius": 0.3}
    found = landscape.sharpness(model, data, measures=[SAM(radius=0.3), "sam"])
    assert found["sam"].options == {"radius": 0.3}


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ("samm", ValueError, "did you mean 'sam'"),
        ([], ValueError, "measures= is empty"),
        ([3], TypeError, "expected a name such as 'sam'"),
        ([SAM], TypeError, r"pass SAM\(\)"),
        ([SAM(0.1), SAM(0.2)], ValueError, "'sam' twice with different options"),
    ],
)
def test_unknown_measures_are_refused(given: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        read_measures(given)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"invariance": "always"}, ValueError, "expected 'declared' or 'check'"),
        ({"level": 1.0}, ValueError, "expected a probability"),
        ({"interrupt": "stop"}, ValueError, "expected 'raise' or 'return'"),
        ({"fit": 3}, TypeError, "expected fit"),
        ({"initial": np.ones(3)}, ValueError, "initial has shape"),
        ({"prior": "text"}, (TypeError, ValueError, OSError), "prior|text"),
        ({"measure": "sam"}, TypeError, "did you mean measures=?"),
    ],
)
def test_bad_arguments_are_refused(options: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        landscape.sharpness(relu_mlp(), blobs(), **{"measures": ["sam"], **options})


def test_test_sets_have_names() -> None:
    model, data = relu_mlp(), blobs()
    names = ["generalisation_gap"]
    one = landscape.sharpness(model, data, measures=names, test=data)
    both = landscape.sharpness(model, data, measures=names, test={"in": data, "out": data})
    assert one["generalisation_gap"].value == pytest.approx(0, abs=1e-12)
    assert {"in", "out"} <= set(str(both["generalisation_gap"].details).replace("'", " ").split())


class Failing(Definition):
    """Stops the run at its nth evaluation."""

    name: ClassVar[str] = "failing"
    reference: ClassVar[str] = "none"
    rescaling: ClassVar[Invariance] = "no"
    error: ClassVar[BaseException | None] = None

    def estimate_cost(self, context: Context) -> float:
        return 1.0

    def compute(self, context: Context) -> Outcome:
        if self.error is not None:
            raise self.error
        return Outcome(context.loss)

    def list_options(self) -> dict[str, Any]:
        return {}


def test_a_run_that_is_stopped_resumes_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.npz"
    objective = landscape.Objective(relu_mlp(), blobs(), engine="torch")  # for equal bits
    wanted: list[str | Definition] = ["noise_rise", Failing(), "trace"]
    whole = landscape.sharpness(objective, measures=wanted)
    monkeypatch.setattr(Failing, "error", OSError("the disk is gone"))
    with pytest.raises(OSError, match="the disk is gone"):
        landscape.sharpness(objective, measures=wanted, resume=file)
    monkeypatch.setattr(Failing, "error", None)
    count = []
    monkeypatch.setattr(NoiseRise, "compute", lambda *_: count.append(1))  # it is finished
    found = landscape.sharpness(objective, measures=wanted, resume=file)
    assert not count
    assert [m.to_record() for m in found.measures] == [m.to_record() for m in whole.measures]
    assert found.run.evaluations == whole.run.evaluations
    assert found.descent_gain == whole.descent_gain
    with pytest.raises(ValueError, match="holds another computation"):
        landscape.sharpness(objective, measures=wanted, resume=file, seed=1)
    with pytest.raises(ValueError, match="holds a run that resume= keeps"):
        landscape.load(file)


def test_ctrl_c_returns_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Failing, "error", KeyboardInterrupt())
    model, data = relu_mlp(), blobs()
    wanted: list[str | Definition] = ["sam", Failing(), "trace"]
    found = landscape.sharpness(model, data, measures=wanted, interrupt="return")
    assert list(found) == ["sam"]
    assert found.run.status == "interrupted: 2 of 3 measures are missing"
    with pytest.raises(KeyboardInterrupt):
        landscape.sharpness(model, data, measures=wanted)


def test_progress_counts_gradient_equivalents() -> None:
    seen: list[tuple[int, int]] = []
    landscape.sharpness(
        relu_mlp(), blobs(), measures=["trace"], progress=lambda *pair: seen.append(pair)
    )
    done = [pair[0] for pair in seen]
    assert done == sorted(done)
    assert 0 < done[-1] <= seen[-1][1]
    assert len({pair[1] for pair in seen}) == 1


def test_an_objective_and_a_random_subset() -> None:
    objective = landscape.Objective(relu_mlp(), blobs(), samples=20)
    found = landscape.sharpness(objective, measures=["max_eigenvalue", "trace"])
    assert found.samples == 20
    assert found["max_eigenvalue"].standard_error is not None
    with pytest.raises(TypeError, match="already"):
        landscape.sharpness(objective, blobs(), measures=["sam"])


def test_every_measure_has_a_source_and_declares_its_invariances() -> None:
    for name, definition in TABLE.items():
        made = definition()
        assert made.name == name
        assert len(made.reference) > 20, name
        assert made.rescaling in ("exact", "no"), name
        assert made.permutation in ("exact", "no"), name


def test_measures_that_need_derivatives_say_so_where_there_are_none() -> None:
    """Batch statistics that are re-estimated at every point have no derivative."""
    model = seeded(lambda: nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)))
    names = ["trace", "sam", "keskar", "relative_flatness", "critical_sharpness", "noise_rise"]
    found = landscape.sharpness(
        model, classes(20), measures=names, batch_norm="recalibrated", progress="off"
    )
    for name in names[:-1]:
        assert found[name].value is None
        assert "not defined under batch_norm='recalibrated'" in found[name].status
    assert found["noise_rise"].value is not None


def test_the_documentation_has_a_row_for_every_measure() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sharpness.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in rows)))
    assert named == set(TABLE)
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert f"({len(TABLE)} measures" in readme


def test_few_draws_have_students_quantile() -> None:
    found = landscape.sharpness(relu_mlp(), blobs(), measures=[NoiseRise(draws=3)])["noise_rise"]
    assert found.interval is not None
    assert found.standard_error is not None
    half = (found.interval[1] - found.interval[0]) / 2
    assert half == pytest.approx(4.302653 * found.standard_error, rel=1e-6)


def test_weight_decay_is_not_invariant() -> None:
    names = ["adaptive_sam", "parameter_scaled_trace", "magnitude_sigma", "fisher_rao", "margin"]
    found = landscape.sharpness(relu_mlp(), blobs(), measures=names, weight_decay=0.01)
    kinds = {name: found[name].rescaling for name in names}
    assert kinds == {
        "adaptive_sam": "no",
        "parameter_scaled_trace": "no",
        "magnitude_sigma": "no",
        "fisher_rao": "exact",
        "margin": "exact",
    }


def test_a_resume_knows_the_optimizers_state_and_the_order_of_test_sets(tmp_path: Path) -> None:
    model, data = relu_mlp(), blobs()
    optimizers = []
    for scale in (1.0, 100.0):
        optimizers.append(torch.optim.Adam(model.parameters()))
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizers[-1].step()
        for state in optimizers[-1].state.values():
            state["exp_avg_sq"] += scale
    options: dict[str, Any] = {"measures": ["preconditioned_sharpness"], "resume": tmp_path / "a"}
    landscape.sharpness(model, data, optimizer=optimizers[0], **options)
    with pytest.raises(ValueError, match=r"optimizer\.state"):
        landscape.sharpness(model, data, optimizer=optimizers[1], **options)
    part = (data[0][:9], data[1][:9])
    options = {"measures": ["generalisation_gap"], "resume": tmp_path / "b"}
    landscape.sharpness(model, data, test={"a": data, "b": part}, **options)
    with pytest.raises(ValueError, match="holds another computation"):
        landscape.sharpness(model, data, test={"b": part, "a": data}, **options)


def test_the_check_of_invariance_is_counted() -> None:
    objective = landscape.Objective(relu_mlp(), blobs(), engine="torch")
    plain = landscape.sharpness(objective, measures=["trace"])
    checked = landscape.sharpness(objective, measures=["trace"], invariance="check")
    assert checked.run.evaluations > 4 * plain.run.evaluations
    assert checked["trace"].cost == plain["trace"].cost


@pytest.mark.parametrize("name", ["vc_bound", "spectral_norm_bound", "pac_bayes_bound"])
def test_bounds_are_not_for_models_with_frozen_parameters(name: str) -> None:
    inputs, targets = blobs()
    model = relu_mlp()
    found = landscape.sharpness(model, (inputs, targets), measures=[name], parameters="4.*")[name]
    assert found.value is None
    assert "parameters are frozen" in found.status


def test_half_precision_has_margins() -> None:
    model = relu_mlp().to(torch.bfloat16)
    inputs, targets = blobs()
    found = landscape.sharpness(model, (inputs.bfloat16(), targets), measures=["margin"])
    assert found["margin"].is_applicable


def test_predictions_within_a_sample_are_not_independent() -> None:
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(40, 2, 6, generator=draw)
    targets = torch.randint(3, (40, 6), generator=draw)
    found = landscape.sharpness(
        torch.nn.Conv1d(2, 3, 1), (inputs, targets), test=(inputs, targets),
        measures=["margin", "generalisation_gap"],
    )  # fmt: skip
    assert found["margin"].interval is None
    assert found["margin"].details["count"] == 240
    assert "'error_interval': None" in str(dict(found["generalisation_gap"].details))
