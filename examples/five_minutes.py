"""
Five minutes
============

Your own scikit-learn model, the question *how many poisoned rows does it take?*, and an answer that somebody else can check.
``pip install 'convexpoison[plot,frame]'`` is all that is needed here.
"""

# %%
# A model
# -------
# A linear SVM that separates malignant from benign tumours.

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import LinearSVC

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(MinMaxScaler().fit_transform(X), y, random_state=0)
svm = LinearSVC(loss="hinge", C=1.0, max_iter=100_000, random_state=0).fit(X_train, y_train)
print(f"test accuracy {svm.score(X_test, y_test):.3f}")

# %%
# The attacker's target
# ---------------------
# A model of their choice: here the one that the same learner returns when a third of the malignant rows is called benign. Any
# fitted linear estimator will do, or a pair ``(coef, intercept)``.

rng = np.random.default_rng(0)
wrong = np.where((y_train == 0) & (rng.random(y_train.size) < 1 / 3), 1, y_train)
wanted = LinearSVC(loss="hinge", C=1.0, max_iter=100_000, random_state=0).fit(X_train, wrong)
print(f"test accuracy of the attacker's model {wanted.score(X_test, y_test):.3f}")

# %%
# Attack
# ------
# Loss, regularisation and the handling of the intercept are read from the estimator. Added rows may be anything in the smallest
# box that holds the data (pass ``space=`` for something else); the training rows themselves stay as they are.

import convexpoison as cp

result = cp.attack(wanted, (X_train, y_train), test_data=(X_test, y_test), eps=0.2)
print(result.summary())

# %%
# The rows are in ``result.points``, ``result.labels`` and ``result.counts``, in order of priority.

axes = result.plot()

# %%
# Follow-the-leader, the default, comes within ``eps`` of the wanted model. ``method="optimal"`` reproduces it, with as few
# rows as can be found:

optimal = cp.attack(wanted, (X_train, y_train), method="optimal")
print(f"{optimal.n_points} rows, {optimal.n_distinct} of them distinct; it stopped because {optimal.stop_reason!r}")

# %%
# Bound
# -----
# The other half of the answer: with fewer rows no attack makes the victim learn this model.

bound = cp.lower_bound(wanted, (X_train, y_train))
print(bound, "-> at least", int(bound.n_points), "rows")

# %%
# A fitted model is exact to a tolerance only. The appropriate bound is for every model within that distance:

near = cp.lower_bound(wanted, (X_train, y_train), delta=1e-3)
print("any model within 1e-3 of it takes at least", int(near.n_points), "rows")

# %%
# Verify
# ------
# The certificate of the bound can be checked from the data, in interval arithmetic, without a solver. A certificate is a
# small file; ``convexpoison verify proof.npz rows.npz`` does the same on the command line.

import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp())
bound.certificate.save(folder / "proof.npz")
again = cp.Certificate.load(folder / "proof.npz")
print(again.verify((X_train, y_train)))

# %%
# Save
# ----

result.save(folder / "run.npz")
print(cp.AttackResult.load(folder / "run.npz").n_points, "rows come back from the file")

# %%
# A goal instead of a model
# -------------------------
# A goal in the place of a model asks for an outcome, here for an error of 15 % on the test rows. A goal does not say how the
# victim learns: :class:`~convexpoison.Victim` does.

victim = cp.Victim("hinge", C=1.0)  # what LinearSVC(loss="hinge", C=1.0) minimises
goal = cp.goals.ErrorRate(0.15, X_test, y_test)
cheapest = cp.attack(goal, (X_train, y_train), victim=victim, test_data=(X_test, y_test))
print(f"{cheapest.n_points} rows lead to {np.mean(cheapest.model.predict(X_test) != y_test):.1%} errors")

# %%
# The page :doc:`/theory` explains how to read these numbers; :doc:`/which_method` lists the other methods.
