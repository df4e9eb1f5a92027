"""
Predictions that survive
========================

How many added rows does each prediction of a model survive, whatever the rows are? The certificates of 109 test rows as one
curve, for three strengths of the regularisation.
"""

# %%
# A linear SVM on the digits 1 and 7; added rows may have any pixels in the range of the data.

import numpy as np
from matplotlib import pyplot as plt

import convexpoison as cp

digits = cp.datasets.load("digits_17")

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for C_R, color in ((0.02, "#D55E00"), (0.1, "#0072B2"), (0.5, "#009E73")):
    victim = cp.Victim("hinge", C_R=C_R)
    robust = cp.certified_robustness(digits.X_test, victim, digits.train, digits.space)
    n_points, share = cp.robustness_curve(robust.n_points)
    error = (robust.predictions != digits.y_test).mean()
    ax.step(n_points, share, where="post", color=color, label=f"C_R = {C_R:g}, clean error {error:.1%}")
    print(
        f"C_R = {C_R:g}: half of the predictions cannot be changed with fewer than {np.median(robust.n_points):.0f} rows"
    )
ax.set(xlabel="rows that the attacker may add", ylabel="predictions certain to survive", ylim=(0, 1.02), xlim=(0, None))
ax.legend(frameon=False)
ax.grid(alpha=0.3)

# %%
# A point (n, share) means: with any n added rows, at least this share of the predictions is the clean model's.
# It is a lower bound. A prediction that drops out is no longer *proven* to survive, which does not mean that an attack is known.
