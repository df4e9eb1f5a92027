"""Settings of the bilevel attack, with two presets of PACD: that of its text and that of its code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from convexpoison.neural.training.objectives import Macer, Objective, SmoothAdv

_WAYS = ("adam", "cg", "neumann", "exact", "reverse")


@dataclass(frozen=True)
class BilevelSettings:
    """Settings of the bilevel attack.

    Parameters
    ----------
    epochs : int
        P in PACD.
    steps_per_epoch : int, optional
        Outer steps per epoch; default: one pass over the training images.
    lower_steps : int
        T1: training steps before each hypergradient, all on the same mini-batch.
    lower_optimizer : {"adam", "sgd"}
    lower_rate : float
    system_steps : int
        T2: iterations for the linear system.
    hypergradient : {"adam", "cg", "neumann", "exact", "reverse"}
        Solver of the linear system (:func:`convexpoison.neural.approx_grad`), or "reverse": differentiation through the
        ``lower_steps``, which are then plain gradient descent.
    system_rate, damping : float
        Learning rate for the system, and the damping added to the Hessian's diagonal (in addition to the weight decay of the
        victim's recipe).
    poison_optimizer : {"adam", "sgd"}
        Adam has separate moments for each image.
    poison_rate : float
    shared : bool
        If true, each step moves all poison images by the batch's mean gradient; otherwise (PACD) each image of the batch moves
        by its own. A shared step shifts a class as a whole, as the optimal poison for linear classifiers does (PACD,
        Theorem 1), and needs far fewer steps.
    batch_size, batch_poison : int
        Images per mini-batch, and poison images among them.
    batch_validation : int
    draws : int
        k: noise draws per image for the attacked radius.
    alpha : float
        Inverse temperature of the softmax in that radius.
    shrink : float
        See :class:`convexpoison.neural.SoftRadius`.
    reinitialize_every : int
        Outer epochs between re-initialisations of the network, each preceded by an evaluation of the poison.
    warm_up : int
        Training steps after each initialisation, before the next step of the poison; 0 in PACD.

    References
    ----------
    PACD, Algorithms 1 and 2 and Appendix E.3.
    """

    epochs: int = 50
    steps_per_epoch: int | None = None
    lower_steps: int = 10
    lower_optimizer: Literal["adam", "sgd"] = "adam"
    lower_rate: float = 1e-3
    system_steps: int = 10
    hypergradient: Literal["adam", "cg", "neumann", "exact", "reverse"] = "adam"
    system_rate: float = 1e-2
    damping: float = 1e-3
    poison_optimizer: Literal["adam", "sgd"] = "adam"
    poison_rate: float = 0.1
    shared: bool = False
    batch_size: int = 1000
    batch_poison: int = 100
    batch_validation: int = 100
    draws: int = 20
    alpha: float = 16.0
    shrink: float = 1e-3
    reinitialize_every: int = 10
    warm_up: int = 0

    def __post_init__(self) -> None:
        counts = ("epochs", "lower_steps", "system_steps", "batch_poison", "batch_validation", "draws")
        for name in (*counts, "reinitialize_every", *(() if self.steps_per_epoch is None else ("steps_per_epoch",))):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        for name in ("lower_rate", "system_rate", "poison_rate", "alpha"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive; got {getattr(self, name)}")
        if self.damping < 0 or self.warm_up < 0 or self.batch_poison >= self.batch_size:
            raise ValueError(f"damping >= 0, warm_up >= 0 and batch_poison < batch_size are needed; got {self}")
        if self.hypergradient not in _WAYS:
            raise ValueError(f"unknown hypergradient {self.hypergradient!r}; choose one of {list(_WAYS)}")
        for name in ("lower_optimizer", "poison_optimizer"):
            if getattr(self, name) not in ("adam", "sgd"):
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; choose 'adam' or 'sgd'")

    @classmethod
    def preset(cls, name: str, objective: Objective, *, color: bool = False) -> BilevelSettings:
        """Return the settings of PACD.

        Parameters
        ----------
        name : {"code", "paper"}
            "code": the published program. All updates use Adam, an epoch covers all batches, and the network is
            re-initialised every 10 epochs (SmoothAdv: 20). "paper": Appendix E.3 and Algorithms 1 and 2 as printed. Each of
            the 50 epochs is one step on one mini-batch; network and poison take plain gradient steps with rates 0.001 and
            0.1; probabilities are not shrunk, the system is not damped. The paper re-initialises "after few upper-level
            iterations": 10 here.
        objective : Objective
            The objective of the victim's training.
        color : bool
            Use the batches of CIFAR-10 (200 images, 20 of them poison) instead of those of MNIST (1000 and 100).
        """
        if name not in ("code", "paper"):
            raise ValueError(f"unknown settings {name!r}; choose 'code' or 'paper', or pass BilevelSettings")
        adversarial = isinstance(objective, SmoothAdv)
        batch: dict[str, Any] = {"batch_size": 200, "batch_poison": 20, "batch_validation": 20} if color else {}
        lower: dict[str, Any] = {"lower_steps": 1 if adversarial else 10, **batch}
        if name == "paper":
            return cls(
                steps_per_epoch=1, lower_optimizer="sgd", poison_optimizer="sgd", shrink=0.0, damping=0.0, draws=20, **lower
            )  # fmt: skip
        rate = 1e-4 if isinstance(objective, Macer) else 1e-3 if adversarial or color else 1e-2
        return cls(
            system_rate=rate, draws=5 if color else 20, reinitialize_every=20 if adversarial else 10, **lower
        )  # fmt: skip
