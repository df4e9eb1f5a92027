"""
A poisoned smoothed network
===========================

A classifier that is smoothed by noise comes with a certified radius for each image. Clean-label poison, training images that
are changed a little while their labels stay right, lowers the radius of one class after retraining (Mehra et al., 2021). Needs
the extra ``neural``. The network and the data are so small that this runs in seconds: it shows how it is done, not how much
harm is done on data of another size.
"""

# %%
# The victim: logistic regression on 7 x 7 pixels, written as a network, trained with Gaussian noise of 0.25 on 400 of
# scikit-learn's digits.

import numpy as np
from matplotlib import pyplot as plt
from torch import nn

from convexpoison import neural
from convexpoison.datasets.images import load_images

images = load_images("digits").subset(400, 300)


def network():
    """Average 28 x 28 pixels to 7 x 7 and apply one layer."""
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(49, 10))


recipe = neural.Recipe(epochs=30, optimizer="adam", learning_rate=0.02, weight_decay=0.0, batch_size=100)
victim = neural.NeuralVictim(network, neural.GaussianAugmentation(0.25), recipe)

# %%
# The attack: training images of the digit 8 may change by 0.1 in every pixel (of a range of 1). Beside it random noise of
# that size. The settings are chosen for this small problem; ``settings="code"`` and ``"paper"`` have those of the paper.

settings = neural.BilevelSettings(
    epochs=2, steps_per_epoch=8, reinitialize_every=1, lower_steps=5, system_steps=5, hypergradient="cg", batch_size=300,
    batch_poison=40, batch_validation=100, draws=10, lower_rate=0.05, warm_up=40, poison_rate=0.05,
)  # fmt: skip
poison = neural.attack(8, images, victim=victim, eps=0.1, settings=settings, validation=0.25)
noise = neural.attack(8, images, method="noise", eps=0.1, validation=0.25)
print(f"{poison.n_points} images changed, by at most {poison.distances().max():.3f} in a pixel")

figure, axes = plt.subplots(2, 6, figsize=(7, 2.6), layout="constrained")
poison.plot(n=6, axes=axes)

# %%
# What it does: networks trained from scratch, two seeds each, and certified on test images of the digit 8 that the attack has
# not seen. ACR is the average certified radius.

train, test = (images.X_train, images.y_train), (images.X_test, images.y_test)
found = neural.transfer(
    {"clean": None, "random noise": noise, "poison": poison}, {"ga": victim}, train, test, 8, n_seeds=2, n_test=15, n=400
)  # fmt: skip
for (name, _), measured in found.items():
    print(f"{name}: {measured}")

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
names = [name for name, _ in found]
ax.barh(names, [measured.acr.mean() for measured in found.values()], color=["#0072B2", "#666666", "#D55E00"])
for place, measured in enumerate(found.values()):
    ax.plot(measured.acr, np.full(len(measured.acr), place), "k.", markersize=6)
ax.set(xlabel="average certified radius of the digit 8 (dots: the seeds)")
ax.invert_yaxis()

# %%
# The certificates of the poisoned network hold as any others do, each with its probability: it is smoothed as it should be. What
# the poison has changed is the network. A certificate says nothing about the data that the network was trained on.
