"""Every public name is found where documentation says: README.md, CONTRIBUTING.md, the API page, the pages and the examples.

The table is written out: a name that goes, or moves, has to be taken out of it by hand.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from convexpoison._utils.moved import MOVED

ROOT = Path(__file__).parents[1]
PAGES = [
    path
    for pattern in ("*.md", "docs/*.rst", "docs/papers/*.rst", "examples/*.py")
    for path in sorted(ROOT.glob(pattern))
]

NAMES = {
    "convexpoison": """
        AttackResult Bound Certificate Difference GoalNotReachedError LinearModel MissingDependencyError PoisoningAudit
        SolverError SolverTimeoutError Space UnattainableTargetError Victim __version__ attack certified_robustness certify
        datasets defenses goals lower_bound max_loss_difference report robustness_curve sweep sweeps targets""",
    "convexpoison.goals": "ErrorRate Flip Misclassify rows_asked",
    "convexpoison.targets": """
        COPIES Candidate LeastMassTarget QUANTILES Subpopulation best_classified cheapest label_flip label_flips least_mass
        subpopulation subpopulation_target subpopulations""",
    "convexpoison.datasets": "Dataset SOURCES Source available load",
    "convexpoison.datasets.images": "load_images",
    "convexpoison.defenses": "Filter FilterCost PERCENTILE filter_cost slab sphere",
    "convexpoison.sweeps": "Record SweepResult load",
    "convexpoison.neural": """
        BilevelSettings Certification CertifiedAccuracy DataDependent Distortion Evaluation GaussianAugmentation Hypergradient
        ImageBall LinearAttack LinearTheory Macer MemoryCertification MemoryClassifier ModelTargetedPoison NeuralVictim PixelBox
        PoisonResult RadiusDecision Recipe Retraining SmoothAdv SmoothedClassifier SmoothedNetworkClassifier SoftRadius Standard
        TargetClass TargetPoint Trained approx_grad attack attack_linear average_radius certified_accuracy_curves class_accuracy
        evaluate fit flipped make_network model_targeted one_dimension optimize_sigma pgd_distortion random_flips retrain
        retrained_accuracies reverse_mode train_full_batch transfer two_gaussians""",
    # What CONTRIBUTING.md extends, and modules that pages name.
    "convexpoison.spaces": "Space",
    "convexpoison.threats": "AddRows Threat",
    "convexpoison.learners.losses": "Hinge LOSSES Logistic Loss RoundedHinge SmoothHinge Squared SquaredHinge get_loss",
    "convexpoison.learners.linear_model": "LinearModel",
    "convexpoison.learners.victim": "Victim",
    "convexpoison.learners.implicit": """
        Hypergradient ImplicitGradient InnerProblem OuterLoss SmoothHinge State Tune largest_rate make_tuning reverse_mode
        solve_inner tuned_victim""",
    "convexpoison.bounds.bound": "Bound",
    "convexpoison.bounds.near_target": "ball_bound eps_close_bound",
    "convexpoison.attacks.nearest": "NearestModel close_attack nearest_model",
    "convexpoison.attacks.base": "METHODS Method",
    "convexpoison.poison": "Poison",
    "convexpoison.problem": "Problem",
    "convexpoison.loss_difference.backends": "backend choose names",
    "convexpoison.loss_difference.backend": "Backend Capabilities",
    "convexpoison.solvers.base": "NAMES Solver",
    "convexpoison.errors": "optional_import",
    "convexpoison.attacks.follow_the_leader": "follow_the_leader",
    "convexpoison.datasets.files": "known_file",
    "convexpoison.solvers.linear_program": "Solution empty",
    "convexpoison.sweeps.recipes": "GOALS MODELS",
    "convexpoison.cli.commands": "main",
}
PAIRS = [(module, name) for module, names in NAMES.items() for name in names.split()]
LISTED = [module for module in NAMES if module.count(".") <= 1 and hasattr(import_module(module), "__all__")]


@pytest.mark.parametrize(("module", "name"), PAIRS)
def test_a_public_name_is_found(module, name):
    if module == "convexpoison.neural":
        pytest.importorskip("safetensors.torch", reason="torch or safetensors is not installed (extra 'neural')")
    assert getattr(import_module(module), name) is not None


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in MOVED.items() for name in names])
def test_a_name_that_has_moved_is_found_where_it_was(module, name):
    with pytest.deprecated_call(match=rf"{name} is convexpoison\."):
        found = getattr(import_module(module), name)
    home, _, new = MOVED[module][name].rpartition(".")
    assert found is getattr(import_module(f"convexpoison.{home}"), new)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = import_module(module).nothing


@pytest.mark.parametrize("module", LISTED)
def test_the_table_has_every_name_of_a_public_module(module):
    assert set(import_module(module).__all__) <= set(NAMES[module].split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_table_has_every_name_that_a_page_imports_or_calls(page):
    text = page.read_text(encoding="utf-8")
    asked = set(re.findall(r"from (convexpoison[\w.]*) import (\w+(?:, \w+)*)", text))
    pairs = {(module, name) for module, names in asked for name in names.split(", ")}
    called = re.findall(r"\bcp\.(goals|targets|datasets|defenses|sweeps)\.(\w+)", text)
    pairs |= {(f"convexpoison.{module}", name) for module, name in called}
    pairs |= {("convexpoison", name) for name in re.findall(r"\bcp\.(\w+)", text)}
    assert {(module, name) for module, name in pairs if f"{module}.{name}" not in NAMES} <= set(PAIRS)
