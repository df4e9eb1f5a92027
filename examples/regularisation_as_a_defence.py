"""
Regularisation as a defence
===========================

A model that may not have large weights cannot be pulled far by a few rows. How much does the strength of the regularisation
buy, and what does it cost on clean data? And what if the defender tunes it while the attacker takes that into account?
"""

# %%
# A strength for every attack
# ---------------------------
# Logistic regression on the digits 0 and 8, with ``exp(lambda) / 2`` times the squared norm added to the sum of the losses (so
# that ``C = exp(-lambda)``). A third of the training rows is kept aside: the attacker steers by it, and the defender tunes on
# it. The attack has 20 rows and is made anew for each lambda.

import numpy as np
from matplotlib import pyplot as plt
from sklearn.model_selection import train_test_split

import convexpoison as cp

digits = cp.datasets.load("digits_08")
X, X_val, y, y_val = train_test_split(*digits.train, test_size=1 / 3, random_state=0, stratify=digits.y_train)
goal = cp.goals.ErrorRate(1.0, X_val, y_val)  # as many errors as the budget allows


def poison(lam, **options):
    """Compute 20 rows against a victim with this lambda, and the errors on the test rows without and with them."""
    victim = cp.Victim("logistic", C=np.exp(-lam))
    common = {"space": digits.space, "method": "minimax", "max_points": 20, "batch_size": 10, "iterations": 20}
    found = cp.attack(goal, (X, y), victim=victim, **common, **options)
    clean = found.victim.fit(X, y)
    return found, *(np.mean(model.predict(digits.X_test) != digits.y_test) for model in (clean, found.model))


strengths = np.linspace(-6.0, 8.0, 8)
fixed = [poison(lam, tune=None)[1:] for lam in strengths]
for lam, (clean, poisoned) in zip(strengths, fixed, strict=True):
    print(f"lambda = {lam:4.1f}: test error {clean:.1%} without poison, {poisoned:.1%} with 20 rows")

# %%
# A defender who tunes, and a minimax attack
# ------------------------------------------
# The minimax attack moves its rows by ascent and lambda by descent, in turn (Carnerero-Cano et al., 2021): lambda ends at the
# optimum for the defender's validation rows *under attack*.

found, clean, poisoned = poison(0.0, tune="l2", lambda_range=(-6.0, 8.0))
learned = found.info["lambda"][0]
print(f"learned under attack: lambda = {learned:.2f}, test error {clean:.1%} without poison, {poisoned:.1%} with it")

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for column, label, color in ((0, "clean", "#0072B2"), (1, "20 rows of poison, made for this lambda", "#D55E00")):
    ax.plot(strengths, [errors[column] for errors in fixed], "o-", color=color, label=label)
ax.plot(learned, poisoned, "*", markersize=14, color="#009E73", label="lambda learned under attack")
ax.set(xlabel="lambda, the logarithm of the regularisation's weight", ylabel="test error", ylim=(0, None))
ax.legend(frameon=False)
ax.grid(alpha=0.3)

# %%
# These attacks end at a saddle point or a local maximum: a better attack may exist, so the curve of the poisoned model is a lower
# estimate of the harm. What is *certain* for a given strength is in :ref:`sphx_glr_gallery_robust_predictions.py`.
