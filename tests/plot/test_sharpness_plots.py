"""Plots of measures: what they show, not their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from quadratic_models import blobs, relu_mlp
from result_examples import make_measure, make_sharpness

import landscape
from landscape import plot

BLUE, VERMILION = "#0072b2", "#d55e00"


def test_a_dot_for_every_value_with_its_interval_and_its_invariance() -> None:
    measures = (
        make_measure(),
        make_measure(name="sam", value=-3.0, interval=(-4.0, -2.5), rescaling="exact"),
        make_measure(name="none", value=None, interval=None, status="not applicable: no reason"),
        make_measure(name="zero", value=0.0, interval=None, standard_error=None),
    )
    ax = plot.sharpness(make_sharpness(measures=measures))
    assert [t.get_text() for t in ax.get_yticklabels()] == ["noise_rise", "sam", "none", "zero"]
    dots = [container[0] for container in ax.containers]
    assert [dot.get_xdata()[0] for dot in dots] == [0.25, 3.0]
    assert [to_hex(dot.get_color()) for dot in dots] == [VERMILION, BLUE]
    assert to_hex(dots[1].get_markerfacecolor()) == "#ffffff"  # negative
    (segments,) = [c[2][0].get_segments() for c in ax.containers[:1]]
    assert np.allclose(segments[0][:, 0], [0.23, 0.27])
    (segments,) = [c[2][0].get_segments() for c in ax.containers[1:]]
    assert np.allclose(segments[0][:, 0], [2.5, 4.0])
    texts = [text.get_text() for text in ax.texts]
    assert "no reason" in texts
    assert "0.25 ± 0.01" in texts
    assert ax.get_title(loc="left").endswith("no minimum")
    with pytest.raises(ValueError, match="nothing to draw"):
        plot.sharpness(make_sharpness(measures=measures[2:3]))


def test_a_panel_for_every_measure_and_a_dot_for_every_model() -> None:
    models = {f"model {i}": relu_mlp(seed=i) for i in range(3)}
    found = landscape.compare(
        models, blobs(), measures=["sam", "adaptive_sam", "norms", "generalisation_gap"], points=3,
        views=["profiles", "surfaces"], engine="torch",
    )  # fmt: skip
    panels = found.plot()
    assert [ax.get_title(loc="left") for ax in panels] == ["sam", "adaptive_sam", "norms"]
    assert [ax.get_title(loc="right") for ax in panels] == ["not invariant", "", "not invariant"]
    for ax, name in zip(panels, ("sam", "adaptive_sam", "norms"), strict=True):
        shown = [container[0].get_xdata()[0] for container in ax.containers]
        assert shown == found.values(name).tolist()
    profiles = found.plot_profiles()
    drawn = {line.get_label(): line for line in profiles.get_lines()}
    for name in models:
        assert np.array_equal(drawn[name].get_ydata(), found.profiles[name].losses)
    assert len(found.plot_surfaces()) == 3
    with pytest.raises(ValueError, match="2 axes for 3 measures"):
        found.plot(panels[:2])
    with pytest.raises(ValueError, match=r"views=\['profiles'\]"):
        plot.profiles({})


def test_chains_are_drawn_with_their_running_mean() -> None:
    chains = np.random.default_rng(0).normal(size=(3, 50))
    measure = make_measure(
        name="learning_coefficient", curves={"chains": chains}, details={"r_hat": 1.01, "ess": 80.0}
    )
    ax = plot.chains(measure)
    *lines, running = ax.get_lines()
    assert [np.array(line.get_ydata()).tolist() for line in lines] == chains.tolist()
    assert np.array(running.get_ydata())[-1] == pytest.approx(chains.mean())
    assert ax.get_title(loc="left") == "3 chains, R-hat 1.010, 80 independent draws"
    with pytest.raises(ValueError, match="has no chains"):
        plot.chains(make_measure())


def test_the_rise_is_drawn_against_the_radius_in_three_cases() -> None:
    rises = np.array([[0.0, 1.0, 4.0], [0.0, 2.0, 8.0], [0.0, 3.0, 12.0]])
    options = {"rise": 0.1, "metric": "loss"}
    most = make_measure(
        name="most_case_basin", value=0.2, interval=None, options=options,
        curves={"radii": np.array([0.1, 0.2, 0.3]), "rises": rises},
    )  # fmt: skip
    worst = make_measure(
        name="worst_case_basin", value=0.05, interval=None, options=options,
        curves={"radii": np.array([0.01, 0.02]), "rises": np.array([[0.0, 5.0], [0.5, 2.0]])},
    )  # fmt: skip
    ax = plot.rise_profile(make_sharpness(measures=(most, worst)))
    drawn = {line.get_label(): np.array(line.get_ydata()).tolist() for line in ax.get_lines()}
    assert drawn["most case (median)"] == [0.0, 2.0, 8.0]
    assert drawn["average"] == [0.0, 2.0, 8.0]
    assert drawn["worst case"] == [0.5, 5.0]
    with pytest.raises(ValueError, match="ask for the measures most_case_basin and"):
        plot.rise_profile(make_sharpness())
