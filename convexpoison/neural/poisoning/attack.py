"""The entry point for poisoning networks: target, data and method to poison images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from sklearn.model_selection import train_test_split

from convexpoison.datasets.images import Images
from convexpoison.neural.poisoning.baselines import flip_labels, random_noise, watermark
from convexpoison.neural.poisoning.bilevel import BilevelRun, PoisonTask, drive
from convexpoison.neural.poisoning.bilevel_settings import BilevelSettings
from convexpoison.neural.poisoning.goals import NegatedCrossEntropy, SoftRadius, Target, as_target
from convexpoison.neural.poisoning.image_ball import ImageBall
from convexpoison.neural.poisoning.result import PoisonResult, provenance
from convexpoison.neural.training.fit import _tensors
from convexpoison.neural.training.objectives import Objective
from convexpoison.neural.training.victim import NeuralVictim

METHODS = ("bilevel", "watermark", "noise", "label_flip")


def attack(
    target: Any,
    data: Any,
    *,
    victim: NeuralVictim | None = None,
    method: str = "bilevel",
    eps: float = 0.1,
    norm: Literal["linf", "l2"] = "linf",
    sigma: float | None = None,
    settings: BilevelSettings | str = "code",
    validation: float | tuple[Any, Any] = 1.0 / 12.0,
    opacity: float = 0.1,
    random_state: int = 0,
    device: str | torch.device | None = None,
    checkpoint: str | Path | None = None,
    time_limit_s: float | None = None,
    progress: bool | None = None,
    callback: Callable[[BilevelRun], None] | None = None,
) -> PoisonResult:
    """Perturb training images, keeping labels, to lower the certified radius or accuracy of networks trained on them.

    Parameters
    ----------
    target : int, TargetClass or TargetPoint
        The class whose certified radius or accuracy is attacked, or a single image.
    data : Images or pair (X, y)
        Training images of shape (n, channels, height, width) in [0, 1], and labels 0, 1, ...
    victim : NeuralVictim, optional
        Network, objective and recipe of training; default: ``NeuralVictim()`` (LeNet, Gaussian augmentation).
    method : {"bilevel", "watermark", "noise", "label_flip"}
        PACD's bilevel optimisation, or one of its baselines: images of other classes blended into the base images, random
        noise of the maximal size, and flipped labels (not a clean-label attack).
    eps : float
        Maximal distance of a poison image from its base image. PACD uses 0.1 for MNIST, 0.03 for CIFAR-10.
    norm : {"linf", "l2"}
    sigma : float, optional
        Noise level of the attacked radius; default: that of the victim's objective.
    settings : BilevelSettings, "code" or "paper"
        See :meth:`BilevelSettings.preset`.
    validation : float or pair (X, y)
        Fraction of the data held out, or separate data; the poison is evaluated on their images of the target class.
    opacity : float
        Opacity of the watermarks.
    random_state : int
    device : optional
        "cuda" for a GPU; default: the CPU.
    checkpoint : path, optional
        A safetensors file in which the bilevel attack saves its state, and from which it resumes if the file exists.
    time_limit_s : float, optional
        Time limit, after which the best poison so far is returned; likewise on Ctrl-C.
    progress : bool, optional
        Whether to show a progress bar; default: only on a terminal.
    callback : callable, optional
        Called with the :class:`BilevelRun` after each outer step.

    Returns
    -------
    PoisonResult

    Raises
    ------
    TypeError, ValueError
        If the input is invalid, or the checkpoint belongs to another run.

    References
    ----------
    Mehra et al. (2021), "How robust are randomized smoothing based defenses to data poisoning?" (PACD).
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; choose one of {list(METHODS)}")
    start, victim, aim = perf_counter(), victim or NeuralVictim(), as_target(target)
    X, y = _pair(data)
    rng = np.random.default_rng([random_state, 0])
    train, held = _split(X, y, validation, random_state)
    rows = aim.rows(X[train], y[train], rng)
    base = train[rows]
    ball = ImageBall(torch.from_numpy(X[base]), eps, norm)
    images, labels, trace, reason = X[base], y[base], dict[str, np.ndarray](), "done"
    details: dict[str, Any] = {"random_state": random_state, "target": _words(aim)}
    if method == "bilevel":
        where = torch.device(device or "cpu")
        if isinstance(settings, str):
            settings = BilevelSettings.preset(settings, victim.objective, color=X.shape[1] == 3)
        task = _task(
            X[train], y[train], rows, eps, norm, aim.judged(*held), _upper(aim, victim, sigma, settings), where
        )
        run = BilevelRun(task, victim, settings, random_state)
        identity = (
            f"{_words(aim)}, {victim}, {victim.recipe}, {_fixed(settings)}, {norm} {eps}, {task.upper}, seed {random_state}, "
            + (f"{len(train)} images")
        )
        reason = drive(
            run, None if checkpoint is None else Path(checkpoint), identity, time_limit_s, progress, callback
        )
        images, trace = run.best.cpu().numpy(), _trace(run)
        details |= {
            "victim": victim,
            "recipe": victim.recipe,
            "settings": settings,
            "upper": task.upper,
            "steps": run.done,
        }
    elif method == "watermark":
        images = watermark(ball, X[train][y[train] != y[base][0]], rng, opacity)
        details["opacity"] = opacity
    elif method == "noise":
        images = random_noise(ball, rng)
    else:
        labels = flip_labels(labels, int(y.max()) + 1, rng)
    return PoisonResult(
        images, labels, X[base], y[base], base, train, method, float(eps), norm, trace, reason,
        perf_counter() - start, provenance(**details),
    )  # fmt: skip


def _pair(data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check images and labels, and return them as arrays."""
    X, y = (data.X_train, data.y_train) if isinstance(data, Images) else data
    images, labels = _tensors(X, y)
    return np.ascontiguousarray(images.cpu().numpy()), labels.cpu().numpy()


def _split(
    X: np.ndarray, y: np.ndarray, validation: float | tuple[Any, Any], random_state: int
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Return the rows of the training set, and the validation images and labels."""
    if not isinstance(validation, float | int):
        return np.arange(len(y)), _pair(validation)
    if not 0.0 < validation < 1.0:
        raise ValueError(f"validation must be a fraction of the data within (0, 1), or a pair (X, y); got {validation}")
    train, held = train_test_split(np.arange(len(y)), test_size=validation, stratify=y, random_state=random_state)
    train, held = np.sort(train), np.sort(held)
    return train, (X[held], y[held])


def _upper(aim: Target, victim: NeuralVictim, sigma: float | None, settings: BilevelSettings) -> Objective:
    if aim.goal == "accuracy":
        return NegatedCrossEntropy()
    sigma = victim.objective.sigma if sigma is None else sigma
    if not sigma > 0:
        raise ValueError("the victim trains without noise: pass sigma=, the noise level of the attacked radius")
    return SoftRadius(float(sigma), settings.draws, settings.alpha, settings.shrink)


def _task(
    X: np.ndarray, y: np.ndarray, rows: np.ndarray, eps: float, norm: Literal["linf", "l2"],
    judged: tuple[np.ndarray, np.ndarray], upper: Objective, where: torch.device,
) -> PoisonTask:  # fmt: skip
    images, labels, positions, X_judged, y_judged = (torch.from_numpy(a).to(where) for a in (X, y, rows, *judged))
    return PoisonTask(
        images, labels, positions, ImageBall(images[positions], eps, norm), X_judged, y_judged, upper
    )  # fmt: skip


def _trace(run: BilevelRun) -> dict[str, np.ndarray]:
    steps, judged = (run.memory[name].cpu().numpy() for name in ("trace", "judged"))
    columns = dict(zip(("upper", "lower", "residual"), steps.T, strict=True))
    return columns | {"judged_step": judged[:, 0], "judged_value": judged[:, 1]}


def _words(aim: Target) -> str:
    return f"{type(aim).__name__} {aim.label}, {aim.goal}, {aim.n_poison}"


def _fixed(settings: BilevelSettings) -> dict[str, Any]:
    """Return the settings that must be equal for a run to resume: all but the number of epochs, which may grow."""
    return {name: value for name, value in vars(settings).items() if name != "epochs"}
