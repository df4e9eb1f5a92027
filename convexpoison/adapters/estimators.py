"""Reading a target: what a fitted scikit-learn estimator says about the model and about how its victim learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convexpoison.data.frames import as_dense
from convexpoison.learners.linear_model import LinearModel
from convexpoison.learners.victim import Intercept, Victim


@dataclass(frozen=True, eq=False)
class ReadTarget:
    """What a target tells.

    Attributes
    ----------
    model : LinearModel
    victim : Victim or None
        None where the target is a bare model and does not say how the victim learns.
    steps : fitted transformer or None
        What a Pipeline does before its final step.
    """

    model: LinearModel
    victim: Victim | None
    steps: Any = None


def as_model(target: Any) -> LinearModel:
    """The linear model of a LinearModel, a pair (coef, intercept), a fitted estimator or the end of a Pipeline."""
    return read_target(target).model


def read_target(target: Any) -> ReadTarget:
    """Read model, victim and preceding steps off a target.

    Raises
    ------
    TypeError
        If it is nothing that can be read.
    ValueError
        If it is not fitted, multi-class, or learns in a way that the library does not model (l1 penalty, class weights,
        kernels); the message says what to do instead.
    """
    if isinstance(target, ReadTarget):
        return target
    if isinstance(target, LinearModel):
        return ReadTarget(target, None)
    if isinstance(target, (tuple, list)) and len(target) == 2:
        return ReadTarget(LinearModel(np.asarray(target[0], dtype=np.float64), target[1]), None)
    if hasattr(target, "steps") and hasattr(target, "named_steps"):
        last = read_target(target[-1])
        return ReadTarget(last.model, last.victim, target[:-1] if len(target.steps) > 1 else None)
    name = type(target).__name__
    if name not in _READERS:
        raise TypeError(
            f"cannot read a target from {name}; pass a fitted {', '.join(_READERS)}, a Pipeline that ends in one, or a pair "
            "(coef, intercept) together with victim=Victim(...)"
        )
    victim = _READERS[name](target)
    if not hasattr(target, "coef_"):
        raise ValueError(f"the target {name} is not fitted; call its fit first")
    return ReadTarget(_linear_model(target, victim), victim)


def _linear_model(estimator: Any, victim: Victim) -> LinearModel:
    coef = as_dense(estimator.coef_)
    if coef.ndim == 2 and coef.shape[0] > 1:
        what = f"{coef.shape[0]} decision functions" if victim.loss.classification else f"{coef.shape[0]} outputs"
        raise ValueError(
            f"the target has {what}; attack one at a time. For class k against the rest: attack((coef_[k], intercept_[k]), "
            "(X, y == k), victim=Victim(...)); for a pair of classes: fit the estimator on the rows of those two classes"
        )
    classes = tuple(np.asarray(estimator.classes_).tolist()) if victim.loss.classification else None
    return LinearModel(coef.reshape(-1), np.asarray(estimator.intercept_).reshape(-1)[0], classes)


def _refuse_class_weight(estimator: Any) -> None:
    if getattr(estimator, "class_weight", None) is not None:
        raise ValueError(
            f"class_weight={estimator.class_weight!r} would weigh poison too, which the library does not model; refit the "
            "target without it, and pass sample_weight for the clean rows if they are to be weighted"
        )


def _refuse_penalty(estimator: Any, accepted: tuple[Any, ...]) -> None:
    penalty = getattr(estimator, "penalty", "l2")
    if penalty not in accepted or getattr(estimator, "l1_ratio", None) not in (None, 0, 0.0, 0.15):
        raise ValueError(
            f"penalty={penalty!r} with l1_ratio={getattr(estimator, 'l1_ratio', None)!r} is not modelled; the victim must be "
            "regularised by l2: refit the target with an l2 penalty"
        )


def _intercept(estimator: Any, fitted: Intercept) -> Intercept:
    return fitted if estimator.fit_intercept else "none"


def _linear_svc(svc: Any) -> Victim:
    _refuse_class_weight(svc)
    _refuse_penalty(svc, ("l2",))
    return Victim(svc.loss, C=svc.C, intercept=_intercept(svc, "regularized"), intercept_scaling=svc.intercept_scaling)


def _svc(svc: Any) -> Victim:
    if svc.kernel != "linear":
        raise ValueError(f"SVC with kernel={svc.kernel!r} is not linear; refit it with kernel='linear'")
    _refuse_class_weight(svc)
    return Victim("hinge", C=svc.C, intercept="free")


def _logistic_regression(regression: Any) -> Victim:
    _refuse_class_weight(regression)
    _refuse_penalty(regression, ("l2", None, "deprecated"))
    C = np.inf if regression.penalty is None else regression.C
    if regression.solver == "liblinear":
        scaling = regression.intercept_scaling
        return Victim("logistic", C=C, intercept=_intercept(regression, "regularized"), intercept_scaling=scaling)
    return Victim("logistic", C=C, intercept=_intercept(regression, "free"))


def _sgd_classifier(sgd: Any) -> Victim:
    _refuse_class_weight(sgd)
    _refuse_penalty(sgd, ("l2",))
    losses = {"hinge": "hinge", "squared_hinge": "squared_hinge", "log_loss": "logistic"}
    if sgd.loss not in losses:
        raise ValueError(f"SGDClassifier with loss={sgd.loss!r} is not modelled; refit it with one of {sorted(losses)}")
    return Victim(losses[sgd.loss], C_R=sgd.alpha, intercept=_intercept(sgd, "free"))


def _ridge(ridge: Any) -> Victim:
    alpha = float(np.asarray(ridge.alpha).reshape(-1)[0])
    return Victim("squared", C=0.5 / alpha if alpha > 0 else np.inf, intercept=_intercept(ridge, "free"))


def _linear_regression(regression: Any) -> Victim:
    if getattr(regression, "positive", False):
        raise ValueError("LinearRegression(positive=True) is not modelled; refit it with positive=False")
    return Victim("squared", C=np.inf, intercept=_intercept(regression, "free"))


_READERS: dict[str, Callable[[Any], Victim]] = {
    "LinearSVC": _linear_svc,
    "SVC": _svc,
    "LogisticRegression": _logistic_regression,
    "SGDClassifier": _sgd_classifier,
    "LinearRegression": _linear_regression,
    "Ridge": _ridge,
}
