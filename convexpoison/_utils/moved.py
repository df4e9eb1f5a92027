"""Names that have moved: found where they were for one more release, with a DeprecationWarning.

``MOVED`` is the whole list. Modules that are gone are found by :mod:`convexpoison._utils.moved_finder`; a package that is still
there asks :func:`moved_name` in its ``__getattr__``.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

MOVED: dict[str, dict[str, str]] = {
    "convexpoison.approximate": {
        "ApproximateBound": "bounds.bound.Bound",
        "NearestModel": "attacks.nearest.NearestModel",
        "ball_bound": "bounds.near_target.ball_bound",
        "close_attack": "attacks.nearest.close_attack",
        "eps_close_bound": "bounds.near_target.eps_close_bound",
        "nearest_model": "attacks.nearest.nearest_model",
    },
    "convexpoison.hypergradients": {
        "Hypergradient": "learners.implicit.Hypergradient",
        "ImplicitGradient": "learners.implicit.ImplicitGradient",
        "InnerProblem": "learners.implicit.InnerProblem",
        "OuterLoss": "learners.implicit.OuterLoss",
        "SmoothHinge": "learners.losses.smooth_hinge.SmoothHinge",
        "State": "learners.implicit.State",
        "Tune": "learners.implicit.Tune",
        "largest_rate": "learners.implicit.largest_rate",
        "make_tuning": "learners.implicit.make_tuning",
        "reverse_mode": "learners.implicit.reverse_mode",
        "solve_inner": "learners.implicit.solve_inner",
        "tuned_victim": "learners.implicit.tuned_victim",
    },
    "convexpoison.proofs.certificate": {
        "Certificate": "certificates.TargetCertificate",
        "certify": "certificates.certify",
    },
    "convexpoison.proofs.verdict": {"Verdict": "certificates.Verification"},
    "convexpoison.goal_bounds.bounds": {
        "GoalBound": "bounds.bound.Bound",
        "certified_robustness": "bounds.goal.certified_robustness",
        "goal_bound": "bounds.goal.goal_bound",
    },
    "convexpoison.losses": {
        "LOSSES": "learners.losses.LOSSES",
        "Loss": "learners.losses.Loss",
        "get_loss": "learners.losses.get_loss",
    },
    "convexpoison.model": {"LinearModel": "learners.linear_model.LinearModel"},
    "convexpoison.victim": {"Victim": "learners.victim.Victim"},
    "convexpoison.result": {"AttackResult": "results.attack_result.AttackResult"},
    "convexpoison.difference": {
        "Difference": "loss_difference.query.Difference",
        "Question": "loss_difference.query.Question",
    },
    "convexpoison.attacks.task": {
        "METHODS": "attacks.base.METHODS",
        "Method": "attacks.base.Method",
        "Poison": "poison.Poison",
    },
    "convexpoison.solvers": {
        "Backend": "loss_difference.backend.Backend",
        "Capabilities": "loss_difference.backend.Capabilities",
        "backend": "loss_difference.backends.backend",
        "choose": "loss_difference.backends.choose",
        "names": "loss_difference.backends.names",
    },
    "convexpoison.solvers.linear_backend": {
        "ConvexCapabilities": "loss_difference.linear_backend.ConvexCapabilities",
        "LinearBackend": "loss_difference.linear_backend.LinearBackend",
    },
}
"""Where a name was, and where it is in the package now."""


def moved_name(module: str, name: str) -> Any:
    """Return a name that has moved away from a module.

    Raises
    ------
    AttributeError
        If the module never had it.
    """
    home = MOVED[module].get(name)
    if home is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    warnings.warn(
        f"{module}.{name} is convexpoison.{home} now; the old name goes with the next release",
        DeprecationWarning,
        stacklevel=3,
    )
    place, _, new = home.rpartition(".")
    return getattr(import_module(f"convexpoison.{place}"), new)
