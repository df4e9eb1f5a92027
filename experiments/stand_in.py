"""Stand-in for ImageNet's dogs and fish where the user's feature files are missing: 2,048 features of CIFAR-10."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA

Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""X, y, X_test, y_test"""


def dog_ship() -> Parts:
    """Return CIFAR-10 dogs and ships in the single-layer k-means features of Coates, Lee and Ng (2011), 512 in each quadrant."""
    images = np.load(Path(os.environ["CONVEXPOISON_DATA"]) / "cifar10_subset.npz")
    parts = []
    for part in ("train", "test"):
        chosen = np.isin(images[f"y_{part}"], (5, 8))
        parts.append((images[f"x_{part}"][chosen] / 255.0, images[f"y_{part}"][chosen].astype(np.int64)))
    rng = np.random.default_rng(0)
    some = _patches(parts[0][0][rng.choice(len(parts[0][0]), 400, replace=False)]).reshape(-1, 108)
    whiten = PCA(whiten=True, n_components=0.99, svd_solver="full").fit(some)
    centres = MiniBatchKMeans(512, n_init=1, random_state=0).fit(whiten.transform(some)).cluster_centers_
    rows = [np.array([_pooled(whiten.transform(_patches(x[None])[0]), centres) for x in X]) for X, _ in parts]
    return rows[0], parts[0][1], rows[1], parts[1][1]


def _patches(images: np.ndarray) -> np.ndarray:
    """Return 6 x 6 patches with stride 2, each with mean 0 and deviation 1; shape (n, 196, 108)."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (6, 6), axis=(1, 2))[:, ::2, ::2]
    patches = windows.reshape(len(images), windows.shape[1] * windows.shape[2], 108)
    centred = patches - patches.mean(axis=2, keepdims=True)
    return centred / np.sqrt(centred.var(axis=2, keepdims=True) + 0.01)


def _pooled(patches: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Sum the "triangle" activations over each of the four quadrants of the image."""
    squares = (patches**2).sum(axis=1)[:, None] - 2 * patches @ centres.T + (centres**2).sum(axis=1)
    distance = np.sqrt(np.maximum(squares, 0.0))
    active = np.maximum(distance.mean(axis=1, keepdims=True) - distance, 0.0).reshape(14, 14, -1)
    return np.concatenate([active[i : i + 7, j : j + 7].sum(axis=(0, 1)) for i in (0, 7) for j in (0, 7)])
