"""What comes in at the front door, checked and read once: who learns, on which rows, where poison may lie, what is wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import ArrayLike

from convexpoison.adapters.estimators import ReadTarget, read_target
from convexpoison.data.pipeline import PipelineMap
from convexpoison.data.training_data import TrainingData
from convexpoison.goals import Flip
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Victim
from convexpoison.problem import Problem
from convexpoison.spaces.space import Space
from convexpoison.threats import AddRows


@dataclass(frozen=True, eq=False)
class Scenario:
    """The user's arguments as a problem, and the way back to the user's terms.

    Attributes
    ----------
    problem : Problem
    steps : fitted transformer or None
        The steps of a Pipeline before its last one.
    original : PipelineMap or None
        The way back through the steps to the user's table; None where data came as TrainingData.
    """

    problem: Problem
    steps: Any = None
    original: PipelineMap | None = None

    @property
    def data(self) -> TrainingData:
        """The clean rows of the problem."""
        return self.problem.data

    @property
    def target(self) -> LinearModel | None:
        """The target of the problem, if it has one."""
        return self.problem.target if self.problem.has_target else None

    def rows(self, data: Any, name: str) -> TrainingData:
        """Rows to test or to validate on; they may all be of one class."""
        rows, labels = data
        classes = self.data.classes
        if classes is None and name == "test_data":
            raise ValueError("test_data records an accuracy, which a regression target does not have; leave it out")
        found = training_data((rows, labels), self.steps, self.problem.victim, classes, None, both_classes=False)
        ours, theirs = self.data.columns, found.columns
        if ours is not None and theirs is not None and ours != theirs:
            raise ValueError(
                f"the columns of {name} are not those of the training data, in their order: {theirs}, not {ours}"
            )
        return found

    def goal_rows(self) -> TrainingData | None:
        """The rows that the goal wants wrong, with their right labels; None if it names none."""
        goal = self.problem.goal
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
        original = _original(data, None)
        problem = Problem(victim, clean, AddRows(_space(space, data, original, victim, clean)), target)
        if isinstance(target, Flip):  # the prediction to change is the clean model's
            problem = problem.reaching(target.bind(problem.clean))
        return Scenario(problem, None, original)
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
    return Scenario(Problem(victim, clean, AddRows(space), model), read.steps, original)


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
