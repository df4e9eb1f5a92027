"""An audit in scikit-learn's terms: fit an estimator, and ask at once how much poison it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone, is_classifier
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d

from convexpoison.adapters.estimators import ReadTarget, read_target
from convexpoison.api import attack, lower_bound
from convexpoison.bounds.bound import Bound
from convexpoison.data.frames import as_table
from convexpoison.data.pipeline import PipelineMap
from convexpoison.errors import GoalNotReachedError
from convexpoison.goals import ErrorRate, Flip, Misclassify
from convexpoison.results.attack_result import AttackResult
from convexpoison.spaces.space import Space


def _has(method: str) -> Callable[[Callable[..., np.ndarray]], Any]:
    """Whether the wrapped estimator, fitted or not, has that method."""

    def check(audit: PoisoningAudit) -> bool:
        getattr(getattr(audit, "estimator_", audit.estimator), method)
        return True

    decorator: Callable[[Callable[..., np.ndarray]], Any] = available_if(check)
    return decorator


class PoisoningAudit(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """A linear classifier that knows how much poison it takes.

    ``fit`` fits a clone of the estimator, and then looks for added training rows that reach the goal: as few as a search
    finds (``n_points_``), and a certified bound below which it cannot be done (``bound_``). Predictions are the estimator's.

    Parameters
    ----------
    estimator : LinearSVC, SVC(kernel="linear"), LogisticRegression, SGDClassifier, or a Pipeline that ends in one
        The learner that is audited, for two classes.
    error_increase : float
        The default goal: the error rate on the rows of ``fit`` rises by this much (a fraction). Training rows that the
        attacker has to get wrong are the rows that an audit always has; give ``goal`` for others.
    flip : array, sparse matrix or DataFrame of shape (n_rows, n_features), optional
        The goal instead: the predictions of all of these rows change. They go through a Pipeline's earlier steps.
    goal : ErrorRate, Flip, Misclassify, callable, fitted model or pair (coef, intercept), optional
        The goal instead: any first argument of :func:`convexpoison.attack`, in the columns that the final step sees.
    space : Space, optional
        Where poison may lie, in the columns that the final step sees; what the rows of ``fit`` leave, where not given
        (:meth:`convexpoison.Space.infer`, :meth:`convexpoison.Space.behind`).
    method : str, optional
        As in :func:`convexpoison.attack`. Where not given: "fewest_points" for goals in a plain box, "label_flip" for goals in a
        space with integers or one-hot groups, "optimal" for a model.
    max_points : int, optional
        Budget of the search; as many as rows where not given.
    time_limit_s : float, optional
        For the search; the bound may take as long again.
    random_state : int or None
        For methods that draw.

    Attributes
    ----------
    n_points_ : float
        Points of the attack found; 0 if the estimator does it without poison, ``inf`` if no attack was found within the
        budget (which is no proof that there is none).
    bound_ : Bound or None
        Certified. For ``flip`` (and Flip, Misclassify): no attack whatever reaches the goal with fewer than
        ``bound_.n_points``. For an error rate such a bound is not known, and it is that of the model found: nobody induces
        *that model* with fewer. None where there is neither.
    attack_ : AttackResult or None
        Poison, in order; ``attack_.original_points`` in the columns of X.
    estimator_ : the fitted estimator
    goal_ : what was asked for, as :func:`convexpoison.attack` understood it
    classes_ : array of shape (2,)
    n_features_in_ : int
    feature_names_in_ : array of names
        Where X has names.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.linear_model import LogisticRegression
    >>> import convexpoison as cp
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> audit = cp.PoisoningAudit(make_pipeline(StandardScaler(), LogisticRegression()), flip=X[:1]).fit(X, y)
    >>> bool(audit.bound_.n_points <= audit.n_points_)
    True
    """

    def __init__(
        self,
        estimator: Any,
        *,
        error_increase: float = 0.05,
        flip: Any = None,
        goal: Any = None,
        space: Space | None = None,
        method: str | None = None,
        max_points: int | None = None,
        time_limit_s: float | None = None,
        random_state: int | None = 0,
    ) -> None:
        self.estimator = estimator
        self.error_increase = error_increase
        self.flip = flip
        self.goal = goal
        self.space = space
        self.method = method
        self.max_points = max_points
        self.time_limit_s = time_limit_s
        self.random_state = random_state

    # ---------------------------------------------------------------- fitting and auditing

    def fit(self, X: Any, y: Any) -> PoisoningAudit:
        """Fit the estimator and audit it.

        Parameters
        ----------
        X : array, sparse matrix or DataFrame of shape (n_samples, n_features)
        y : array of shape (n_samples,)
            Two classes.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If the estimator cannot be read, there are not two classes, or parameters do not go together.
        """
        self._check(y)
        X, y = as_table(X), column_or_1d(y, warn=True)
        self.estimator_ = clone(self.estimator).fit(X, y)
        self.classes_ = self.estimator_.classes_
        self.n_features_in_ = self.estimator_.n_features_in_
        if hasattr(self.estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.estimator_.feature_names_in_
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        read = read_target(self.estimator_)
        original = PipelineMap.of(X, read.steps)
        rows = X if read.steps is None else read.steps.transform(X)
        space = self.space if self.space is not None else Space.of_pipeline(original, rows)
        self.goal_ = self._goal(read, rows, y)
        self.attack_, self.n_points_ = self._attack(read, rows, y, space, original)
        self.bound_ = self._bound(read, rows, y, space)
        return self

    def _check(self, y: Any) -> None:
        if not is_classifier(self.estimator):
            raise TypeError(
                f"PoisoningAudit audits classifiers of two classes; {type(self.estimator).__name__} is none: "
                "convexpoison.lower_bound takes a fitted regression as target"
            )
        if y is None:
            raise ValueError("PoisoningAudit requires y to be passed, but the target y is None")
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind != "binary":
            raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
        if self.flip is not None and self.goal is not None:
            raise ValueError("give flip or goal, not both")
        if not 0 < self.error_increase <= 1:
            raise ValueError(f"error_increase is a fraction between 0 and 1, 0 left out; got {self.error_increase}")

    def _goal(self, read: ReadTarget, rows: Any, y: np.ndarray) -> Any:
        """The first argument of :func:`convexpoison.attack`."""
        if self.goal is not None:
            return self.goal
        if self.flip is not None:
            wanted = self.flip if read.steps is None else read.steps.transform(self.flip)
            predicted = self.estimator_.predict(self.flip)
            single = len(predicted) == 1
            return Flip(wanted, predicted[0]) if single else Misclassify(wanted, predicted)
        return ErrorRate(min(1.0, 1.0 - read.model.accuracy(rows, y) + self.error_increase), rows, y)

    def _attack(
        self, read: ReadTarget, rows: Any, y: Any, space: Space, original: PipelineMap
    ) -> tuple[AttackResult | None, float]:
        is_goal = isinstance(self.goal_, (ErrorRate, Flip, Misclassify)) or callable(self.goal_)
        method = self.method or (
            ("fewest_points" if space.parts == {"box"} else "label_flip") if is_goal else "optimal"
        )
        budget = self.max_points if self.max_points is not None or method == "optimal" else rows.shape[0]
        try:
            found = attack(
                self.goal_,
                (rows, y),
                victim=read.victim,
                space=space,
                method=method,
                max_points=budget,
                time_limit_s=self.time_limit_s,
                random_state=self.random_state,
                progress=False,
            )
        except GoalNotReachedError:
            return None, math.inf
        points, note = original.rows(found.points)
        found = replace(found, original_points=points, note=found.note or note)
        return found, float(found.n_points) if not is_goal or found.stop_reason == "goal" else math.inf

    def _bound(self, read: ReadTarget, rows: Any, y: Any, space: Space) -> Bound | None:
        if isinstance(self.goal_, (Flip, Misclassify)):
            return lower_bound(self.goal_, (rows, y), victim=read.victim, space=space)
        if self.attack_ is None:
            return None
        is_model = not callable(self.goal_)
        return self.attack_.bound if is_model else self.attack_.induced_bound

    # ---------------------------------------------------------------- the estimator's own

    def predict(self, X: Any) -> np.ndarray:
        """Classes as the fitted estimator predicts them, shape (n_rows,)."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict(X))

    @_has("decision_function")
    def decision_function(self, X: Any) -> np.ndarray:
        """Scores of the fitted estimator, shape (n_rows,)."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.decision_function(X))

    @_has("predict_proba")
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the fitted estimator, shape (n_rows, 2)."""
        check_is_fitted(self)
        return np.asarray(self.estimator_.predict_proba(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The fitted estimator's own score: its accuracy."""
        check_is_fitted(self)
        return float(self.estimator_.score(X, y, sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import get_tags  # scikit-learn 1.6 and newer, and so is who asks

        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = get_tags(self.estimator).input_tags.sparse
        tags.classifier_tags.multi_class = False
        return tags
