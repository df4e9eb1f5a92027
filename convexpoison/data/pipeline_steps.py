"""What fitted transformers do to columns, read off column by column, so that it can be undone.

Behind the steps each *feature* is ``offset + step * t`` of one original column, where t is the column's number, the code of its
category, or 1 for one of its categories and 0 for all others. Scalers, encoders, selections and compositions of them keep that
form; what does not (PCA, a normaliser, text) is refused with a sentence. The transformers count as fixed: nothing is refitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


class UnreadableStepError(ValueError):
    """A transformer that does more to columns than can be read off and undone."""


@dataclass(frozen=True, eq=False)
class Feature:
    """One column behind the steps.

    Attributes
    ----------
    source : int
        The original column.
    offset, step : float
        The feature is ``offset + step * t``.
    categories : array or None
        What codes stand for; None where t is the column's own number.
    category : int or None
        One-hot: t is 1 for this category (a place in ``categories``) and 0 for the others.
    dropped : int or None
        One-hot: the category that no feature stands for.
    """

    source: int
    offset: float = 0.0
    step: float = 1.0
    categories: np.ndarray | None = None
    category: int | None = None
    dropped: int | None = None

    @property
    def plain(self) -> bool:
        """Whether it is the original column itself."""
        return self.categories is None and (self.offset, self.step) == (0.0, 1.0)

    def scaled(self, step: float, offset: float) -> Feature:
        """``offset + step * feature``."""
        return replace(self, offset=float(offset + step * self.offset), step=float(step * self.step))


def read_features(steps: Any, n_columns: int) -> list[Feature]:
    """The features behind fitted steps (None: no steps) over so many original columns.

    Raises
    ------
    UnreadableStepError
        If a step does something else, or a column reaches the model in two ways.
    """
    features = [Feature(j) for j in range(n_columns)]
    features = features if steps is None else _through(steps, features)
    seen: dict[int, Feature] = {}
    for feature in features:
        other = seen.setdefault(feature.source, feature)
        if other is not feature and (feature.category is None or feature.categories is not other.categories):
            raise UnreadableStepError(f"column {feature.source} of the data reaches the model in two ways")
    return features


def _through(step: Any, features: list[Feature]) -> list[Feature]:
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return features
    name = type(step).__name__
    if name in _READERS:
        return _READERS[name](step, features)
    if hasattr(step, "get_support"):
        return [features[j] for j in step.get_support(indices=True)]
    raise UnreadableStepError(
        f"{name} mixes or bends columns in a way that is not read off; steps that are: {', '.join(_READERS)}, selections"
    )


# -------------------------------------------------------------------- compositions


def _pipeline(pipeline: Any, features: list[Feature]) -> list[Feature]:
    for _, step in pipeline.steps:
        features = _through(step, features)
    return features


def _column_transformer(transformer: Any, features: list[Feature]) -> list[Feature]:
    names = list(getattr(transformer, "feature_names_in_", ()))
    found: list[Feature] = []
    for _, step, columns in transformer.transformers_:
        if isinstance(step, str) and step == "drop":
            continue
        found += _through(step, [features[j] for j in _places(columns, names, len(features))])
    return found


def _places(columns: Any, names: list[str], n: int) -> list[int]:
    """Column numbers of what a ColumnTransformer was given: a name, numbers, a slice or a mask."""
    if isinstance(columns, slice):
        start, stop = (names.index(end) if isinstance(end, str) else end for end in (columns.start, columns.stop))
        # Slices of names include their end.
        return list(range(n)[slice(start, stop + 1 if isinstance(columns.stop, str) else stop, columns.step)])
    listed = [columns] if isinstance(columns, (str, int)) else list(columns)
    if listed and all(isinstance(one, (bool, np.bool_)) for one in listed):
        return [j for j, chosen in enumerate(listed) if chosen]
    return [names.index(one) if isinstance(one, str) else range(n)[int(one)] for one in listed]


# -------------------------------------------------------------------- scalers


def _standard(scaler: Any, features: list[Feature]) -> list[Feature]:
    scale = np.ones(len(features)) if scaler.scale_ is None else scaler.scale_
    mean = np.zeros(len(features)) if not scaler.with_mean else scaler.mean_
    return _affine(features, 1.0 / scale, -mean / scale)


def _min_max(scaler: Any, features: list[Feature]) -> list[Feature]:
    return _affine(features, scaler.scale_, scaler.min_)


def _max_abs(scaler: Any, features: list[Feature]) -> list[Feature]:
    return _affine(features, 1.0 / scaler.scale_, np.zeros(len(features)))


def _robust(scaler: Any, features: list[Feature]) -> list[Feature]:
    scale = scaler.scale_ if scaler.with_scaling else np.ones(len(features))
    center = scaler.center_ if scaler.with_centering else np.zeros(len(features))
    return _affine(features, 1.0 / scale, -center / scale)


def _affine(features: list[Feature], step: Any, offset: Any) -> list[Feature]:
    return [f.scaled(float(a), float(b)) for f, a, b in zip(features, step, offset, strict=True)]


# -------------------------------------------------------------------- encoders and the rest


def _one_hot(encoder: Any, features: list[Feature]) -> list[Feature]:
    _refuse_scaled(encoder, features)
    if any(rare is not None for rare in getattr(encoder, "infrequent_categories_", None) or ()):
        raise UnreadableStepError("OneHotEncoder puts rare categories into one column, which stands for no single one")
    dropped = [None] * len(features) if encoder.drop_idx_ is None else list(encoder.drop_idx_)
    found = []
    for feature, categories, drop in zip(features, encoder.categories_, dropped, strict=True):
        kept = [k for k in range(len(categories)) if k != drop]
        found += [Feature(feature.source, categories=categories, category=k, dropped=drop) for k in kept]
    return found


def _ordinal(encoder: Any, features: list[Feature]) -> list[Feature]:
    _refuse_scaled(encoder, features)
    if any(rare is not None for rare in getattr(encoder, "infrequent_categories_", None) or ()):
        raise UnreadableStepError("OrdinalEncoder gives rare categories one code, which stands for no single one")
    known = encoder.categories_
    return [replace(feature, categories=categories) for feature, categories in zip(features, known, strict=True)]


def _refuse_scaled(encoder: Any, features: list[Feature]) -> None:
    if not all(feature.plain for feature in features):
        raise UnreadableStepError(f"{type(encoder).__name__} comes after a step that has changed its columns already")


def _imputer(imputer: Any, features: list[Feature]) -> list[Feature]:
    """Nothing happens to a row without missing values, and poison has none."""
    statistics = np.asarray(imputer.statistics_, dtype=object)
    if imputer.add_indicator or any(value is None or value != value for value in statistics):
        raise UnreadableStepError("SimpleImputer adds or drops columns; use add_indicator=False and drop empty columns")
    return features


def _function(transformer: Any, features: list[Feature]) -> list[Feature]:
    if transformer.func is not None:
        raise UnreadableStepError("FunctionTransformer applies a function of your own, which is not read off")
    return features


_READERS: dict[str, Callable[[Any, list[Feature]], list[Feature]]] = {
    "StandardScaler": _standard,
    "MinMaxScaler": _min_max,
    "MaxAbsScaler": _max_abs,
    "RobustScaler": _robust,
    "OneHotEncoder": _one_hot,
    "OrdinalEncoder": _ordinal,
    "SimpleImputer": _imputer,
    "FunctionTransformer": _function,
    "ColumnTransformer": _column_transformer,
    "Pipeline": _pipeline,
    "FrozenEstimator": lambda frozen, features: _through(frozen.estimator, features),
}
