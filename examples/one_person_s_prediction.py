"""
How many rows flip this person's prediction?
============================================

A model predicts who earns more than 50,000 dollars a year (Adult). Somebody adds rows to its training data. How many change
the prediction for *this* person?
"""

# %%
# The model, and three people with small, median and large scores.

import numpy as np

import convexpoison as cp

adult = cp.datasets.load("adult")
victim = cp.Victim("logistic", C_R=0.01)
clean = victim.fit(*adult.train)
scores = clean.decision_function(adult.X_test)
people = np.argsort(np.abs(scores), kind="stable")[[len(scores) // 10, len(scores) // 2, (9 * len(scores)) // 10]]

# %%
# For each a bracket. The bound holds for every attack: with fewer rows **no** choice of rows changes the prediction. The attack
# is the best that a search has found. It may use values between 0 and 1 in the indicator columns (``space.relax()``); the
# bound holds for those as well.

for person in people:
    row = adult.X_test[person]
    bound = cp.lower_bound(cp.goals.Flip(row), adult.train, victim=victim, space=adult.space)
    goal = cp.goals.Flip(row, label=clean.predict(row[None])[0])
    found = cp.attack(goal, adult.train, victim=victim, space=adult.space.relax(), time_limit_s=30)
    print(
        f"test row {person}, score {scores[person]:+.2f}: at least {bound.n_points} rows, {found.n_points} are enough"
    )

# %%
# Between the two numbers the answer is open: a better attack may exist, and so may a better proof.
#
# Everybody at once
# -----------------
# ``certified_robustness`` computes the bound alone, for any number of rows; here for 40 people drawn at random.

from matplotlib import pyplot as plt

some = np.random.default_rng(0).choice(len(scores), 40, replace=False)
robust = cp.certified_robustness(adult.X_test[some], victim, adult.train, adult.space)
n_points, share = robust.curve()

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.step(n_points, share, where="post", color="#0072B2")
ax.set(xlabel="rows that the attacker may add", ylabel="predictions certain to survive", ylim=(0, 1.02), xlim=(0, None))
ax.grid(alpha=0.3)
