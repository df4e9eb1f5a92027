"""Every backend gives the known answers of the catalogue, as far as it declares that it can take the question."""

from __future__ import annotations

import pytest

from convexpoison.learners.losses import LOSSES
from convexpoison.loss_difference.backends import backend, names
from convexpoison.loss_difference.solve import answer
from tests.catalogue import CATALOGUE, Known

CASES = [
    pytest.param(known, name, id=f"{known}-{name}", marks=[pytest.mark.gurobi] if name == "gurobi" else [])
    for known in CATALOGUE
    for name in names()
    if not backend(name).capabilities.missing(known.question)
]


@pytest.mark.parametrize(("known", "name"), CASES)
def test_known_answers(known: Known, name: str) -> None:
    if not backend(name).available():
        pytest.skip(f"{name} is not installed")
    found = answer(known.question, solver=name)
    assert found.value == pytest.approx(known.value, abs=2e-7)
    assert found.upper >= known.value - 1e-12
    assert found.certified == (name not in known.loose)
    assert known.question.space.violation(found.point[None, :])[0] <= 1e-6
    assert found.label in known.question.responses
    assert known.question.value_at(found.point, found.label) == found.value
    assert found.solver == name
    assert found.status.startswith("optimal")


@pytest.mark.parametrize("known", CATALOGUE, ids=str)
def test_some_backend_is_chosen_and_right(known: Known) -> None:
    found = answer(known.question)
    assert found.solver != "gurobi"
    assert found.value == pytest.approx(known.value, abs=2e-7)


def test_the_catalogue_asks_every_backend_about_every_part_and_loss() -> None:
    for name in names():
        able = backend(name).capabilities
        asked = [known.question for known in CATALOGUE if not able.missing(known.question)]
        assert {question.loss.name for question in asked} == (able.losses or set(LOSSES))
        assert frozenset().union(*(question.space.parts for question in asked)) == able.parts
