"""
What a filter costs the attacker
================================

A defender drops the rows that are anomalous for their class before training. How many more points does the same
model then take? For each filter: an attack, and a certificate that no fewer points reproduce the model.
"""

# %%
# A model to defend against: the SVM on digits 1 and 7, trained with flipped labels to err on a tenth of the test rows.

from matplotlib import pyplot as plt

import convexpoison as cp

digits = cp.datasets.load("digits_17")
victim = cp.Victim("hinge", C_R=0.05)
target = cp.targets.label_flip(victim, digits.train, error=0.10, evaluate=digits.test).model

# %%
# Two filters, each at a mild and at the usual percentile: distance to the mean of the class, and distance along the line
# between the two means.

costs = []
print("filter, percentile: points caught, clean rows dropped | without: bound, points | with: bound, points")
for make in (cp.defenses.sphere, cp.defenses.slab):
    for percentile in (99.0, 90.0):
        rule = make(*digits.train, percentile=percentile)
        cost = cp.defenses.filter_cost(target, digits.train, rule, victim=victim, space=digits.space)
        costs.append(cost)
        after = "out of reach" if cost.n_points_filtered is None else f"{cost.n_points_filtered}"
        print(
            f"{cost.filter}, {percentile:g}: {cost.n_caught}, {cost.n_clean_dropped} | {cost.bound:.2f}, {cost.n_points} | "
            f"{cost.bound_filtered:.2f}, {after}"
        )

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
names = [f"{cost.filter}, {cost.percentile:g}" for cost in costs]
ax.barh(names, [cost.bound_filtered for cost in costs], color="#0072B2", label="with the filter")
ax.axvline(costs[0].bound, color="#D55E00", linestyle="--", label="without")
ax.set(xlabel="points needed at least", xscale="log", xlim=(10, None))
ax.invert_yaxis()
ax.legend(frameon=False)

# %%
# A sphere catches points of an attack that ignores it, but an attack adapted to it needs few more points, or even fewer: the
# filter drops clean rows as well, which kept the model in place. A slab bounds how far a point can move the model across the
# decision boundary. It makes this model almost unattainable: the poison would far outnumber the training data. An attacker
# with an error rate as goal, and no particular model, would then choose another target.
