"""Deep networks smoothed by noise: certified radii, image-dependent noise, evaluation and poisoning.

Requires torch (``pip install 'convexpoison[neural]'``), which is imported on first use of a name that computes with it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convexpoison.neural.evaluation.distortion import Distortion, pgd_distortion
    from convexpoison.neural.evaluation.evaluate import evaluate
    from convexpoison.neural.evaluation.evaluation import CertifiedAccuracy, Evaluation, certified_accuracy_curves
    from convexpoison.neural.poisoning.attack import attack
    from convexpoison.neural.poisoning.bilevel_settings import BilevelSettings
    from convexpoison.neural.poisoning.candidates import PixelBox
    from convexpoison.neural.poisoning.goals import SoftRadius, TargetClass, TargetPoint
    from convexpoison.neural.poisoning.hypergradients import Hypergradient, approx_grad, reverse_mode
    from convexpoison.neural.poisoning.image_ball import ImageBall
    from convexpoison.neural.poisoning.model_targeted import flipped, model_targeted, random_flips, retrained_accuracies
    from convexpoison.neural.poisoning.model_targeted_result import ModelTargetedPoison
    from convexpoison.neural.poisoning.result import PoisonResult
    from convexpoison.neural.poisoning.retraining import Retraining, retrain, transfer
    from convexpoison.neural.smoothing.certification import Certification, RadiusDecision
    from convexpoison.neural.smoothing.classifier import SmoothedClassifier
    from convexpoison.neural.smoothing.memory import MemoryCertification, MemoryClassifier
    from convexpoison.neural.smoothing.sigma import optimize_sigma
    from convexpoison.neural.theory.linear import LinearTheory, one_dimension, two_gaussians
    from convexpoison.neural.theory.linear_attack import LinearAttack, attack_linear, average_radius
    from convexpoison.neural.training.estimator import SmoothedNetworkClassifier
    from convexpoison.neural.training.fit import Recipe, Trained, fit
    from convexpoison.neural.training.full_batch import class_accuracy, train_full_batch
    from convexpoison.neural.training.networks import make_network
    from convexpoison.neural.training.objectives import DataDependent, GaussianAugmentation, Macer, SmoothAdv, Standard
    from convexpoison.neural.training.victim import NeuralVictim

# Public name -> defining module, imported on first use.
_HOMES = {
    "SmoothedClassifier": "smoothing.classifier",
    "Certification": "smoothing.certification",
    "RadiusDecision": "smoothing.certification",
    "optimize_sigma": "smoothing.sigma",
    "MemoryClassifier": "smoothing.memory",
    "MemoryCertification": "smoothing.memory",
    "evaluate": "evaluation.evaluate",
    "Evaluation": "evaluation.evaluation",
    "CertifiedAccuracy": "evaluation.evaluation",
    "certified_accuracy_curves": "evaluation.evaluation",
    "pgd_distortion": "evaluation.distortion",
    "Distortion": "evaluation.distortion",
    "Standard": "training.objectives",
    "GaussianAugmentation": "training.objectives",
    "SmoothAdv": "training.objectives",
    "Macer": "training.objectives",
    "DataDependent": "training.objectives",
    "Recipe": "training.fit",
    "Trained": "training.fit",
    "fit": "training.fit",
    "make_network": "training.networks",
    "SmoothedNetworkClassifier": "training.estimator",
    "one_dimension": "theory.linear",
    "two_gaussians": "theory.linear",
    "LinearTheory": "theory.linear",
    "attack_linear": "theory.linear_attack",
    "average_radius": "theory.linear_attack",
    "LinearAttack": "theory.linear_attack",
    "model_targeted": "poisoning.model_targeted",
    "flipped": "poisoning.model_targeted",
    "random_flips": "poisoning.model_targeted",
    "retrained_accuracies": "poisoning.model_targeted",
    "ModelTargetedPoison": "poisoning.model_targeted_result",
    "train_full_batch": "training.full_batch",
    "class_accuracy": "training.full_batch",
    "attack": "poisoning.attack",
    "BilevelSettings": "poisoning.bilevel_settings",
    "PixelBox": "poisoning.candidates",
    "PoisonResult": "poisoning.result",
    "TargetClass": "poisoning.goals",
    "TargetPoint": "poisoning.goals",
    "SoftRadius": "poisoning.goals",
    "NeuralVictim": "training.victim",
    "ImageBall": "poisoning.image_ball",
    "approx_grad": "poisoning.hypergradients",
    "reverse_mode": "poisoning.hypergradients",
    "Hypergradient": "poisoning.hypergradients",
    "retrain": "poisoning.retraining",
    "Retraining": "poisoning.retraining",
    "transfer": "poisoning.retraining",
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
    "PixelBox",
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
