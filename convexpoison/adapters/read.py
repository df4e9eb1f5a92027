"""What comes in at the front door, checked and read once: who learns, on which rows, where poison may lie, what is wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import ArrayLike

from convexpoison.adapters.estimators import ReadTarget, read_target
from convexpoison.data.pipeline import PipelineMap
from convexpoison.data.training_data import TrainingData
from convexpoison.goals import Flip, Goal
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.problem import Problem
from convexpoison.spaces.space import Space
from convexpoison.threats import AddRows


@dataclass(frozen=True, eq=False)
class Scenario:
    """The user's terms translated into the library's, and what leads back.

    Attributes
    ----------
    victim : Victim
    data : TrainingData
    space : Space
    solver : str
    target : LinearModel or None
        None where an outcome is wanted and no model.
    goal : callable or None
    steps : fitted transformer or None
        What a Pipeline does before its final step.
    original : PipelineMap or None
        The way back through the steps to the user's table; None where data came as TrainingData.
    """

    victim: Victim
    data: TrainingData
    space: Space
    solver: str
    target: LinearModel | None = None
    goal: Goal | None = None
    steps: Any = None
    original: PipelineMap | None = None

    @property
    def problem(self) -> Problem:
        """The problem of the target, or of the goal."""
        aim = self.target if self.target is not None else self.goal
        assert aim is not None
        return Problem(self.victim, self.data, AddRows(self.space), aim)

    def rows(self, data: Any, name: str) -> TrainingData:
        """Rows to test or to validate on; they may all be of one class."""
        rows, labels = data
        classes = self.data.classes
        if classes is None and name == "test_data":
            raise ValueError("test_data records an accuracy, which a regression target does not have; leave it out")
        found = training_data((rows, labels), self.steps, self.victim, classes, None, both_classes=False)
        ours, theirs = self.data.columns, found.columns
        if ours is not None and theirs is not None and ours != theirs:
            raise ValueError(
                f"the columns of {name} are not those of the training data, in their order: {theirs}, not {ours}"
            )
        return found

    def goal_rows(self) -> TrainingData | None:
        """The rows that the goal wants wrong, with their right labels; None if it names none."""
        goal = self.goal
        if isinstance(goal, Flip):
            return self.rows((goal.x0[None], [goal.label]), "goal")
        if goal is not None and hasattr(goal, "X") and hasattr(goal, "y"):
            return self.rows((goal.X, goal.y), "goal")
        return None


def read_scenario(
    target: Any, data: Any, victim: Victim | None, space: Space | None, solver: str, sample_weight: ArrayLike | None
) -> Scenario:
    """Check everything that :func:`convexpoison.attack` and :func:`convexpoison.lower_bound` have in common.

    Raises
    ------
    ValueError, TypeError
        If something given cannot be used.
    """
    from convexpoison.loss_difference.backends import backend

    if solver != "auto":
        backend(solver)
    if callable(target):
        if victim is None:
            raise ValueError(
                "a goal does not say how the victim learns; pass victim=, for example Victim('hinge', C=1.0)"
            )
        clean = training_data(data, None, victim, None, sample_weight)
        if isinstance(target, Flip):  # it does not know yet what there is to flip
            target = target.bind(victim.trainer(clean).model)
        original = _original(data, None)
        return Scenario(
            victim, clean, _space(space, data, original, victim, clean), solver, None, target, None, original
        )
    read = read_target(target)
    victim = victim if victim is not None else read.victim
    if victim is None:
        raise ValueError(
            "a target given as (coef, intercept) does not say how the victim learns; pass victim=, for example "
            "Victim('hinge', C=1.0) for LinearSVC(loss='hinge') or Victim('logistic', C=1.0, intercept='free')"
        )
    clean = training_data(data, read.steps, victim, read.model.classes, sample_weight)
    _check_target(read, victim, clean)
    original = _original(data, read.steps)
    space = _space(space, data, original, victim, clean)
    model = replace(read.model, classes=clean.classes)
    return Scenario(victim, clean, space, solver, model, None, read.steps, original)


def _original(data: Any, steps: Any) -> PipelineMap | None:
    return None if isinstance(data, TrainingData) else PipelineMap.of(data[0], steps)


def _check_target(read: ReadTarget, victim: Victim, clean: TrainingData) -> None:
    if read.model.n_features != clean.n_features:
        raise ValueError(f"the target has {read.model.n_features} features and the data have {clean.n_features}")
    if victim.intercept == "none" and read.model.intercept != 0.0:
        raise ValueError(f"the victim has no intercept, but the target has one of {read.model.intercept:g}")


def _space(space: Space | None, data: Any, original: PipelineMap | None, victim: Victim, clean: TrainingData) -> Space:
    """The user's space, checked; inferred from the rows as the final step sees them where there is none."""
    if space is None:
        response = None if victim.loss.classification else clean.y
        if original is None:
            space = Space.infer(clean.X, response)
        else:
            steps = original.steps
            space = Space.of_pipeline(original, data[0] if steps is None else steps.transform(data[0]), response)
    else:
        if space.n_features != clean.n_features:
            raise ValueError(f"the space has {space.n_features} columns and the data have {clean.n_features}")
        space.check_domain(clean.X)
    if not victim.loss.classification and space.response is None:
        space = space.with_response(float(clean.y.min()), float(clean.y.max()))
    return space


def training_data(
    data: Any,
    steps: Any,
    victim: Victim,
    classes: tuple[Any, Any] | None,
    sample_weight: ArrayLike | None,
    both_classes: bool = True,
) -> TrainingData:
    """Rows as the final step of a Pipeline sees them."""
    if isinstance(data, (tuple, list)) and len(data) == 2 and steps is not None:
        data = (steps.transform(data[0]), data[1])
    regression = not victim.loss.classification
    return TrainingData.from_user(
        data, regression=regression, classes=classes, sample_weight=sample_weight, both_classes=both_classes
    )
