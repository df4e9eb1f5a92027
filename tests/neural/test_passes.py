"""Several batches at a time: the same answers as one after the other, whatever the network does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import sleep
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="smoothing needs torch, which is not installed")

from convexpoison.neural import SmoothedClassifier  # noqa: E402
from convexpoison.neural.smoothing.forward import Forward  # noqa: E402

nn = torch.nn
X = np.random.default_rng(0).random((3, 1, 8, 8), dtype=np.float32)


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    assert torch.get_num_threads() == 3  # whatever went on, and however it ended
    torch.set_num_threads(before)


def _convnet() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))


class _Forgetful(nn.Module):
    """Keeps its input on itself between two steps, as many networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.threads = nn.Linear(64, 3), set[int]()

    def forward(self, x: Any) -> Any:
        self.kept = x
        sleep(0.001)
        self.threads.add(threading.get_ident())
        return self.last(self.kept.flatten(1))


class _Single(_Forgetful):
    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        raise TypeError("there is only one of me")


def _certified(net: Any, threads: int, **settings: Any) -> np.ndarray:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    options = {"batch_size": 100, "random_state": 0} | settings
    found = SmoothedClassifier(net, 0.5, **options).certify(X, n0=100, n=2500)
    torch.set_num_threads(before)
    return np.asarray(found.p_lower)


@pytest.mark.parametrize("votes", ["hard", "soft"])
def test_the_number_of_threads_changes_nothing(votes: str) -> None:
    """Sums of soft votes depend on their order in the last digits: the order is that of the draws."""
    net = _convnet()
    found = [_certified(net, threads, votes=votes) for threads in (2, 3, 7, 3)]
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    np.testing.assert_allclose(_certified(net, 1, votes=votes), found[0], atol=1e-3)


@pytest.mark.parametrize("kind", [_Forgetful, _Single])
def test_what_a_network_keeps_on_itself_stays_its_own(kind: type[_Forgetful]) -> None:
    torch.manual_seed(0)
    net = kind()
    alone = _certified(net, 1)
    np.testing.assert_array_equal(_certified(net, 3), alone)
    if kind is _Single:
        assert net.threads == {threading.get_ident()}
    else:
        assert len(net.threads) > 1  # the caller's, and one of those that share the work


def test_copies_share_the_weights() -> None:
    from convexpoison.neural.smoothing.passes import _models

    net = _convnet()
    first, second = _models(net, 2)
    assert first is net
    assert second is not net
    pairs = zip(net.state_dict(keep_vars=True).values(), second.state_dict(keep_vars=True).values(), strict=True)
    assert all(a is b for a, b in pairs)


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_scripted_networks() -> None:
    net = torch.jit.script(_convnet().eval())
    np.testing.assert_array_equal(_certified(net, 3), _certified(_convnet(), 3))


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_compiled_networks() -> None:
    net = torch.compile(_convnet().eval(), backend="eager")
    np.testing.assert_array_equal(_certified(net, 3), _certified(_convnet(), 3))


class _Fails(nn.Module):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error, self.lock, self.passes = error, threading.Lock(), [0]

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copy = _Fails(self.error)
        copy.lock, copy.passes = self.lock, self.passes
        return copy

    def forward(self, x: Any) -> Any:
        with self.lock:
            self.passes[0] += 1
            if self.passes[0] == 20:
                raise self.error
        return x.flatten(1)[:, :2]


@pytest.mark.parametrize("error", [ZeroDivisionError("by nought"), KeyboardInterrupt()])
def test_an_error_in_one_thread_ends_them_all(error: BaseException) -> None:
    net = _Fails(error)
    with pytest.raises(type(error)):
        SmoothedClassifier(net, 0.5, batch_size=100, random_state=0).certify(X, n0=100, n=100_000)
    assert net.passes[0] < 40


def test_memory_that_runs_out_in_several_threads_at_once() -> None:
    class Large(nn.Module):
        def forward(self, x: Any) -> Any:
            if len(x) > 60:
                sleep(0.002)
                raise torch.OutOfMemoryError("out of memory")
            return x.flatten(1)[:, :2]

    with pytest.warns(RuntimeWarning, match="continuing with 50"):
        found = _certified(Large(), 3)
    np.testing.assert_array_equal(found, _certified(Large(), 1, batch_size=50))


def test_batches_are_larger_where_layers_are_narrow() -> None:
    def chosen(filters: int) -> int:
        classifier = SmoothedClassifier(nn.Sequential(nn.Conv2d(1, filters, 1), nn.Flatten()), 0.5, random_state=0)
        classifier.images(X)
        return classifier.forward.batch_size

    assert [chosen(filters) for filters in (1, 200, 100_000)] == [500, 200, 100]
    assert Forward(_convnet(), "logits", 7, "float32", True).batch_size == 7
