"""Poison through Pipelines and frames and back: in the user's own columns, whole numbers whole, categories categories."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import LinearSVC

import convexpoison as cp
from convexpoison.data.pipeline import PipelineMap
from convexpoison.learners.losses import get_loss
from convexpoison.loss_difference.query import Question

pd = pytest.importorskip("pandas", reason="pandas is not installed (extra 'frame')")
pl = pytest.importorskip("polars", reason="polars is not installed (extra 'test')")

N = 120
JOBS = np.array(["clerk", "miller", "smith", "weaver"])


def table(kind="pandas", seed=0):
    """Whole numbers, a flag, a real column, words, and a column that is not used; labels are words."""
    rng = np.random.default_rng(seed)
    columns = {
        "age": rng.integers(18, 70, N),
        "member": rng.random(N) < 0.4,
        "income": rng.gamma(2.0, 1000.0, N).round(2),
        "job": rng.choice(JOBS, N),
        "unused": np.arange(N),
    }
    score = 0.05 * (columns["age"] - 40) + columns["member"] + (columns["job"] == "smith") + rng.normal(0, 0.5, N)
    y = np.where(score > 0.7, "rich", "poor")
    return (pd.DataFrame(columns) if kind == "pandas" else pl.DataFrame(columns)), y


def mixed(drop=None, scaler=None):
    return ColumnTransformer(
        [
            ("numbers", scaler or StandardScaler(), ["age", "income"]),
            ("flag", MinMaxScaler(), ["member"]),
            ("words", OneHotEncoder(drop=drop, sparse_output=False), ["job"]),
        ]
    )


def attacked(steps, X, y, seed=1, method=None, max_points=6, last=None):
    """A pipeline that was fitted to wrong labels, and the attack on it."""
    wrong = np.where(np.random.default_rng(seed).random(len(y)) < 0.3, y[::-1], y)
    pipeline = make_pipeline(*steps, last or LinearSVC(loss="hinge", C=0.05, tol=1e-6)).fit(X, wrong)
    budget = {} if method == "optimal" else {"max_points": max_points}
    return pipeline, cp.attack(pipeline, (X, y), method=method, **budget)


def through(pipeline, rows):
    return dense(pipeline[:-1].transform(rows))


def dense(made):
    return made.toarray() if sp.issparse(made) else np.asarray(made, dtype=float)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
@pytest.mark.parametrize("drop", [None, "first", "if_binary"])
def test_rows_come_back_in_the_original_columns(kind, drop):
    X, y = table(kind)
    pipeline, result = attacked([mixed(drop)], X, y)
    rows = result.original_points
    assert type(rows) is type(X)
    assert list(rows.columns) == list(X.columns)
    assert list(rows.dtypes) == list(X.dtypes)
    np.testing.assert_allclose(through(pipeline, rows), result.points, atol=1e-9)
    assert set(rows["job"].to_numpy()) <= set(JOBS)
    assert set(rows["unused"].to_numpy()) == {0}
    for name in ("age", "income"):
        assert X[name].min() - 1e-9 <= rows[name].min() and rows[name].max() <= X[name].max() + 1e-9
    assert set(result.labels) <= {"poor", "rich"}


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_the_pipeline_refitted_on_these_rows_is_the_induced_model(kind):
    X, y = table(kind)
    pipeline, result = attacked([mixed()], X, y)
    FrozenEstimator = pytest.importorskip("sklearn.frozen", reason="needs scikit-learn 1.6").FrozenEstimator
    rows, labels = result.poisoned(X, y, original=True)
    assert len(rows) == N + result.n_points and type(rows) is type(X)
    final = LinearSVC(loss="hinge", C=0.05, tol=1e-10, max_iter=10**6, random_state=0)
    again = make_pipeline(FrozenEstimator(pipeline[:-1]), final).fit(rows, labels)
    np.testing.assert_allclose(again[-1].coef_[0], result.model.coef, atol=1e-4)
    assert again[-1].intercept_[0] == pytest.approx(result.model.intercept, abs=1e-4)
    victim = cp.Victim("hinge", C=0.05)
    assert victim.fit(through(pipeline, rows), labels).distance(result.model) < 1e-6


def test_whole_numbers_stay_whole_behind_a_scaler():
    """Income apart, all columns are whole: the best point over the scaled grid is found among all of them."""
    rng = np.random.default_rng(3)
    X = pd.DataFrame({"a": rng.integers(0, 4, N), "b": rng.integers(-2, 3, N), "flag": rng.random(N) < 0.5})
    y = (X["a"] + 2 * X["flag"] + rng.normal(0, 1, N) > 2.5).to_numpy()
    pipeline, result = attacked([StandardScaler()], X, y, max_points=1)
    every = np.array([[a, b, f] for a in range(4) for b in range(-2, 3) for f in (False, True)])
    scaled = through(pipeline, pd.DataFrame(every, columns=X.columns))
    scores = [scaled @ m.coef + m.intercept for m in (result.clean, result.target)]
    values = [np.maximum(0, 1 - s * scores[0]) - np.maximum(0, 1 - s * scores[1]) for s in (-1, 1)]
    assert result.history["max_loss_difference"][0] == pytest.approx(np.max(values), abs=1e-9)
    assert result.original_points.dtypes.tolist() == X.dtypes.tolist()
    np.testing.assert_allclose(through(pipeline, result.original_points), result.points, atol=1e-9)


@pytest.mark.parametrize("loss", ["hinge", "logistic"])
def test_the_optimal_attack_keeps_to_the_grid(loss):
    X, y = table()
    X = X[["age", "member", "job"]]
    steps = ColumnTransformer([("s", StandardScaler(), ["age", "member"]), ("h", OneHotEncoder(), ["job"])]).fit(X)
    space, victim = cp.Space.behind(steps, X), cp.Victim(loss, C=0.05)
    made = dense(steps.transform(X))
    target = victim.fit(np.vstack([made, made[:8]]), np.concatenate([y, np.where(y[:8] == "rich", "poor", "rich")]))
    result = cp.attack(target, (made, y), victim=victim, space=space, method="optimal")
    assert space.contains(result.points).all()
    assert result.bound.n_points <= 8
    relaxed = cp.attack(target, (made, y), victim=victim, space=space.relax(), method="nearest", max_points=8)
    assert relaxed.n_points <= 8


@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder()], ids=["one-hot", "codes"])
def test_points_of_a_relaxed_space_may_be_no_rows(encoder):
    X, _ = table()
    back = PipelineMap.of(X[["job"]], encoder.fit(X[["job"]]))
    between = 0.5 * dense(encoder.transform(X[["job"]].iloc[:20])) + 0.5 * dense(
        encoder.transform(X[["job"]].iloc[1:21])
    )
    rows, why = back.rows(between)
    assert rows is None
    assert "there are no such rows" in why


@pytest.mark.parametrize(
    ("steps", "make"),
    [
        ([MaxAbsScaler()], np.asarray),
        ([MaxAbsScaler()], sp.csr_matrix),
        ([StandardScaler(with_mean=False), SelectKBest(k=2)], sp.coo_matrix),
        ([RobustScaler(), MinMaxScaler(clip=True)], np.asarray),
        ([SimpleImputer(), StandardScaler(with_std=False)], np.ndarray.tolist),
        ([StandardScaler(with_mean=False), SelectKBest(k=2)], np.asarray),
        ([FunctionTransformer(), "passthrough", Pipeline([("s", StandardScaler())])], np.asarray),
        ([PCA(n_components=2)], np.asarray),
    ],
    ids=lambda part: "-".join(type(s).__name__ for s in part) if isinstance(part, list) else part.__name__,
)
def test_arrays_and_sparse_matrices(steps, make):
    rng = np.random.default_rng(5)
    numbers = rng.random((N, 4)) * (rng.random((N, 4)) < 0.7)
    y = np.where(numbers.sum(axis=1) + rng.normal(0, 0.3, N) > 1.4, 1, 0)
    X = make(numbers)
    pipeline, result = attacked(steps, X, y)
    assert sp.issparse(result.original_points) == sp.issparse(X)
    np.testing.assert_allclose(through(pipeline, result.original_points), result.points, atol=1e-6)
    rows, labels = result.poisoned(X, y, original=True)
    assert rows.shape[0] == labels.size == N + result.n_points


def test_one_hot_before_a_scaler_and_codes_of_categories():
    X, y = table()
    one_hot = [OneHotEncoder(), MaxAbsScaler()]
    pipeline, result = attacked(one_hot, X[["job"]], y)
    np.testing.assert_allclose(through(pipeline, result.original_points), result.points, atol=1e-9)
    codes = ColumnTransformer([("c", make_pipeline(OrdinalEncoder(), StandardScaler()), ["job"])], remainder="drop")
    pipeline, result = attacked([codes], X, y)
    assert set(result.original_points["job"]) <= set(JOBS)
    np.testing.assert_allclose(through(pipeline, result.original_points), result.points, atol=1e-9)


@pytest.mark.parametrize(
    "columns", [["age", "income"], slice("age", "income"), [0, 2], slice(0, 3, 2), [True, False, True, False, False]]
)
def test_columns_by_name_number_slice_and_mask(columns):
    X, y = table()
    pipeline, result = attacked([ColumnTransformer([("s", StandardScaler(), columns)])], X, y)
    np.testing.assert_allclose(through(pipeline, result.original_points), result.points, atol=1e-9)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        (ColumnTransformer([("a", StandardScaler(), ["age"]), ("b", MinMaxScaler(), ["age"])]), "in two ways"),
        (ColumnTransformer([("a", OneHotEncoder(max_categories=2), ["job"])]), "rare categories"),
        (make_pipeline(ColumnTransformer([("a", SimpleImputer(add_indicator=True), ["age"])]), MaxAbsScaler()), None),
        (ColumnTransformer([("a", FunctionTransformer(np.log1p), ["age"])]), "function of your own"),
        (
            make_pipeline(
                ColumnTransformer([("a", StandardScaler(), ["age"])]), OneHotEncoder(handle_unknown="ignore")
            ),
            "already",
        ),
    ],
)
def test_what_cannot_be_undone_is_refused_with_a_sentence(steps, sentence):
    X, y = table()
    if sentence is None:
        X.loc[3, "age"] = None
        sentence = "adds or drops columns"
    _, result = attacked([steps], X, y, max_points=2)
    assert result.original_points is None
    assert sentence in result.note
    with pytest.raises(ValueError, match=sentence):
        result.poisoned(X, y, original=True)


def test_the_inferred_space_holds_groups_and_scaled_whole_numbers():
    X, y = table()
    _, result = attacked([mixed()], X, y, max_points=1)
    space = result.bound.certificate.space
    assert [len(group.columns) for group in space.one_hot] == [4]
    assert space.integer.tolist() == [True, False, True, False, False, False, False]
    ages = space.counts(space.lower)[0], space.counts(space.upper)[0]
    assert ages == pytest.approx((X["age"].min(), X["age"].max()))


def test_a_certificate_keeps_its_grid(tmp_path):
    X, y = table()
    pipeline, result = attacked([mixed()], X, y, max_points=1)
    result.bound.certificate.save(tmp_path / "proof.npz")
    stored = cp.Certificate.load(tmp_path / "proof.npz")
    np.testing.assert_array_equal(stored.space.grid.step, result.bound.certificate.space.grid.step)
    assert stored.verify((pipeline[:-1].transform(X), y)).holds


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames_without_a_pipeline(kind):
    X, y = table(kind)
    X = X[["age", "member", "income"]]
    result = cp.attack(LogisticRegression().fit(X, y[::-1]), (X, y), max_points=3)
    assert type(result.original_points) is type(X)
    assert list(result.original_points.dtypes) == list(X.dtypes)
    np.testing.assert_allclose(np.asarray(result.original_points, dtype=float), result.points)
    assert cp.Space.infer(X).integer.tolist() == [True, True, False]
    poisoned, _ = result.poisoned(X, y)
    assert type(poisoned) is type(X) and len(poisoned) == N + 3


def test_regression_through_a_scaler():
    X, _ = table()
    X = X[["age", "income"]]
    y = 0.1 * X["age"].to_numpy() + np.random.default_rng(0).normal(size=N)
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(X, y[::-1])
    result = cp.attack(pipeline, (X, y), max_points=3)
    np.testing.assert_allclose(through(pipeline, result.original_points), result.points, atol=1e-9)


def test_a_grid_answers_like_every_point_of_it():
    """The polygon and HiGHS over a scaled grid, against all of its points."""
    from convexpoison.spaces.parts import Grid

    rng = np.random.default_rng(0)
    for _ in range(10):
        grid = Grid(rng.normal(size=3), rng.uniform(0.3, 2.0, 3))
        every = np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 3) * grid.step + grid.offset
        space = cp.Space.box(every.min(axis=0), every.max(axis=0)).with_integer(grid=grid)
        assert space.contains(every).all() and not space.contains(every[:1] + 0.4 * grid.step).any()
        model, other = (cp.LinearModel(rng.normal(size=3), rng.normal()) for _ in range(2))
        for loss, solvers in (("hinge", ("polygon", "highs")), ("logistic", ("polygon",))):
            question = Question(get_loss(loss), model, other, space)
            best = max(question.value_at(x, y) for x in every for y in (-1.0, 1.0))
            for solver in solvers:
                found = cp.max_loss_difference(model, other, space, loss=loss, solver=solver)
                assert found.value == pytest.approx(best, abs=1e-9)
                assert found.certified or solver == "highs"  # whose bound is that of the relaxed space
                assert found.upper >= best


def test_the_page_on_data_works_as_printed(capsys):
    page = (Path(__file__).parents[2] / "docs" / "your_data.rst").read_text(encoding="utf-8")
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", page)
    names: dict[str, object] = {}
    for block in blocks:
        exec(dedent(block), names)
    audit = names["audit"]
    assert audit.bound_.n_points <= audit.n_points_
    assert len(names["X_poisoned"]) == 205
    assert "job" in capsys.readouterr().out
