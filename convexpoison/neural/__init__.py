"""Deep networks smoothed by noise: certified radii, noise that adapts to the image, and how to measure both.

Needs torch (``pip install 'convexpoison[neural]'``), which is loaded on first use of a name that computes with it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convexpoison.neural.bilevel_settings import BilevelSettings
    from convexpoison.neural.certification import Certification, RadiusDecision
    from convexpoison.neural.distortion import Distortion, pgd_distortion
    from convexpoison.neural.estimator import SmoothedNetworkClassifier
    from convexpoison.neural.evaluation import CertifiedAccuracy, Evaluation, certified_accuracy_curves, evaluate
    from convexpoison.neural.full_batch import class_accuracy, train_full_batch
    from convexpoison.neural.hypergradients import Hypergradient, approx_grad, reverse_mode
    from convexpoison.neural.image_ball import ImageBall
    from convexpoison.neural.linear_attack import LinearAttack, attack_linear, average_radius
    from convexpoison.neural.memory import MemoryCertification, MemoryClassifier
    from convexpoison.neural.model_targeted import flipped, model_targeted, random_flips, retrained_accuracies
    from convexpoison.neural.model_targeted_result import ModelTargetedPoison
    from convexpoison.neural.networks import make_network
    from convexpoison.neural.objectives import DataDependent, GaussianAugmentation, Macer, SmoothAdv, Standard
    from convexpoison.neural.poison_goals import SoftRadius, TargetClass, TargetPoint
    from convexpoison.neural.poison_result import PoisonResult
    from convexpoison.neural.poisoning import attack
    from convexpoison.neural.retraining import Retraining, retrain, transfer
    from convexpoison.neural.sigma import optimize_sigma
    from convexpoison.neural.smoothing import SmoothedClassifier
    from convexpoison.neural.theory import LinearTheory, one_dimension, two_gaussians
    from convexpoison.neural.training import Recipe, Trained, fit
    from convexpoison.neural.victim import NeuralVictim

# Public name -> module that holds it, loaded on first use.
_HOMES = {
    "SmoothedClassifier": "smoothing",
    "Certification": "certification",
    "RadiusDecision": "certification",
    "optimize_sigma": "sigma",
    "MemoryClassifier": "memory",
    "MemoryCertification": "memory",
    "evaluate": "evaluation",
    "Evaluation": "evaluation",
    "CertifiedAccuracy": "evaluation",
    "certified_accuracy_curves": "evaluation",
    "pgd_distortion": "distortion",
    "Distortion": "distortion",
    "Standard": "objectives",
    "GaussianAugmentation": "objectives",
    "SmoothAdv": "objectives",
    "Macer": "objectives",
    "DataDependent": "objectives",
    "Recipe": "training",
    "Trained": "training",
    "fit": "training",
    "make_network": "networks",
    "SmoothedNetworkClassifier": "estimator",
    "one_dimension": "theory",
    "two_gaussians": "theory",
    "LinearTheory": "theory",
    "attack_linear": "linear_attack",
    "average_radius": "linear_attack",
    "LinearAttack": "linear_attack",
    "model_targeted": "model_targeted",
    "flipped": "model_targeted",
    "random_flips": "model_targeted",
    "retrained_accuracies": "model_targeted",
    "ModelTargetedPoison": "model_targeted_result",
    "train_full_batch": "full_batch",
    "class_accuracy": "full_batch",
    "attack": "poisoning",
    "BilevelSettings": "bilevel_settings",
    "PoisonResult": "poison_result",
    "TargetClass": "poison_goals",
    "TargetPoint": "poison_goals",
    "SoftRadius": "poison_goals",
    "NeuralVictim": "victim",
    "ImageBall": "image_ball",
    "approx_grad": "hypergradients",
    "reverse_mode": "hypergradients",
    "Hypergradient": "hypergradients",
    "retrain": "retraining",
    "Retraining": "retraining",
    "transfer": "retraining",
}

__all__ = [
    "BilevelSettings",
    "Certification",
    "CertifiedAccuracy",
    "DataDependent",
    "Distortion",
    "Evaluation",
    "GaussianAugmentation",
    "Hypergradient",
    "ImageBall",
    "LinearAttack",
    "LinearTheory",
    "Macer",
    "MemoryCertification",
    "MemoryClassifier",
    "ModelTargetedPoison",
    "NeuralVictim",
    "PoisonResult",
    "RadiusDecision",
    "Recipe",
    "Retraining",
    "SmoothAdv",
    "SmoothedClassifier",
    "SmoothedNetworkClassifier",
    "SoftRadius",
    "Standard",
    "TargetClass",
    "TargetPoint",
    "Trained",
    "approx_grad",
    "attack",
    "attack_linear",
    "average_radius",
    "certified_accuracy_curves",
    "class_accuracy",
    "evaluate",
    "fit",
    "flipped",
    "make_network",
    "model_targeted",
    "one_dimension",
    "optimize_sigma",
    "pgd_distortion",
    "random_flips",
    "retrain",
    "retrained_accuracies",
    "reverse_mode",
    "train_full_batch",
    "transfer",
    "two_gaussians",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'convexpoison.neural' has no attribute {name!r}")
    try:
        return getattr(import_module(f"convexpoison.neural.{_HOMES[name]}"), name)
    except ModuleNotFoundError as exc:
        if exc.name != "torch":
            raise
        from convexpoison.errors import optional_import

        optional_import("torch", "neural", f"convexpoison.neural.{name}")
        raise


def __dir__() -> list[str]:
    return list(__all__)
