"""A training that is watched: its state over HTTP, and the page in headless Chromium."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lfp_snn import Spikes
from lfp_snn.analysis import watch as watched
from lfp_snn.analysis.watch import Watch
from lfp_snn.errors import RunError
from lfp_snn.models import build
from lfp_snn.training import Observer, Result, StepReport, fit
from lfp_snn.training.observer import SampleSpikes, Watched
from tests.training.conftest import CLASSES, UNITS, make_splits

EPOCHS, BATCHES = 3, 7


def _fit(*observers: Observer, epochs: int = EPOCHS) -> tuple[nn.Module, Result]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Dropout(0.3), *build("mlp", (UNITS,), CLASSES, hidden=[12]))
    options: dict[str, Any] = {"batch_size": 6, "clip": None, "optimizer": {"lr": 0.03}}
    result = fit(net, make_splits(), epochs=epochs, device="cpu", observers=observers, **options)
    return net, result


def _state(watch: Watch) -> Any:
    with urllib.request.urlopen(f"{watch.url}state.json", timeout=5) as answer:
        return json.load(answer)


class Then(Observer):
    """Does something after a given step."""

    def __init__(self, step: int, action: Callable[[], None]) -> None:
        self.step, self.action = step, action

    def stepped(self, report: StepReport) -> None:
        if report.step == self.step:
            self.action()


def test_the_state_tells_where_a_training_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "GAP", 0.0)
    heard: list[Any] = []
    with Watch("tiny", 0) as watch:
        assert _state(watch)["phase"] == "waiting for data and calibration"
        _, result = _fit(watch, Then(10, lambda: heard.append(_state(watch))))
        end = watch.state()
    (middle,) = heard
    assert (middle["phase"], end["phase"]) == ("training", "testing")
    assert (middle["epoch"], middle["allEpochs"]) == (2, EPOCHS)
    assert (middle["step"], middle["steps"]) == (10, EPOCHS * BATCHES)
    assert 0 < middle["secondsLeft"] < 60
    assert middle["points"]["step"] == list(range(1, 11))
    assert [e["epoch"] for e in middle["epochs"]] == [1]
    known = ("epoch", "step", "train_accuracy", "val_accuracy")
    assert end["epochs"] == [{key: line[key] for key in known} for line in result.metrics]
    assert end["secondsLeft"] == 0
    points = end["points"]
    assert {len(curve) for curve in points["norm"].values()} == {EPOCHS * BATCHES}
    for epoch, line in enumerate(result.metrics):
        own = slice(epoch * BATCHES, (epoch + 1) * BATCHES)
        assert points["accuracy"][own][-1] == pytest.approx(line["train_accuracy"], abs=1e-5)
        norms = np.array(list(points["norm"].values()))[:, own]
        # The norms of the layers make up that of the whole.
        whole = np.hypot(*norms).mean()
        assert whole == pytest.approx(line["feedback_norm"], rel=1e-3)
        for layer, rate in line["firing"].items():
            assert np.mean(points["firing"][layer][own]) == pytest.approx(rate, rel=1e-3)


def test_a_training_without_classes_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no accuracy, and what is not there is told as that."""
    monkeypatch.setattr(watched, "GAP", 0.0)
    draw = np.random.default_rng(0)
    x, targets = draw.random((12, 5, UNITS)).round(), draw.random((12, CLASSES))
    data = (torch.tensor(x).float(), torch.tensor(targets).float())
    net = build("mlp", (UNITS,), CLASSES, hidden=[12])
    heard: list[Any] = []
    with Watch("tiny", 0) as watch:
        fit(
            net,
            data,
            data,
            layout="BT",
            epochs=2,
            device="cpu",
            reward="membrane_target",
            observers=[watch, Then(2, lambda: heard.append(_state(watch)))],
        )
        end = _state(watch)
    assert heard[0]["points"]["accuracy"] == [None, None]
    assert len(end["epochs"]) == 2 and end["points"]["norm"]


def test_what_is_not_finite_is_told_as_not_there() -> None:
    with Watch("tiny", 0) as watch:
        layer = {"1": float("inf"), "2": 0.5}
        watch._points.append({"step": 1, "accuracy": None, "firing": layer, "norm": layer})
        points = _state(watch)["points"]
    assert points["norm"] == points["firing"] == {"1": [None], "2": [0.5]}


def test_the_raster_is_that_of_the_first_validation_sample() -> None:
    rasters: list[Any] = []
    with Watch("tiny", 0) as watch:
        _fit(watch, Then(1, lambda: rasters.append(_state(watch)["raster"])))
        end = _state(watch)["raster"]
    assert (rasters[0]["epoch"], end["epoch"]) == (0, EPOCHS)
    first, *_, last = end["layers"]
    batch = make_splits().val.batch([0])
    assert isinstance(batch.x, Spikes)
    active = batch.x.dense()[:, 0] > 0
    assert first["name"] == "input"
    spikes = list(zip(first["step"], first["unit"], strict=True))
    assert spikes == [tuple(each) for each in active.nonzero().tolist()]
    assert (last["units"], end["label"]) == (CLASSES, int(batch.labels[0]))


def test_watching_changes_nothing() -> None:
    plain, alone = _fit()
    with Watch("tiny", 0) as watch:
        net, result = _fit(watch)
    for one, other in zip(plain.parameters(), net.parameters(), strict=True):
        assert torch.equal(one, other)
    assert result.test_accuracy == alone.test_accuracy


class _Silent(Watched):
    """A training that says the same whenever it is asked."""

    folder = None
    metrics: ClassVar[list[dict[str, Any]]] = []  # type: ignore[misc]

    def feedback_norms(self) -> dict[str, float]:
        return {"0": 1.0}

    def firing(self) -> dict[str, float]:
        return {"1": 0.5}

    def sample(self) -> SampleSpikes:
        return SampleSpikes({"1": np.eye(5, 1000, dtype=bool)}, 0, 0)

    def labels(self) -> dict[str, str]:
        return {}

    def weights(self) -> dict[str, Tensor]:
        return {}

    def stop(self, reason: str) -> None:
        raise AssertionError(reason)


def test_points_and_large_layers_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "GAP", 0.0)
    monkeypatch.setattr(watched, "MOST_POINTS", 10)
    watch = Watch("many", 0)
    watch.attached(_Silent())
    for step in range(100):
        watch.stepped(StepReport(1, step, 100, step, 100, 0.5))
    steps = watch.state()["points"]["step"]
    assert len(steps) <= 10 and steps[0] == 0 and steps == sorted(steps)
    watch.started(StepReport(1, 0, 100, 0, 100, 0.0))
    (layer,) = watch.state()["raster"]["layers"]
    assert layer["units"] == 1000 and layer["shown"] == watched.MOST_UNITS
    with watch:
        pass


def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RunError, match=f"--port {port} of 127.0.0.1 cannot be listened on"):
            Watch("tiny", port)
    with pytest.raises(RunError, match="there is no such port"):
        Watch("tiny", 70_000)


def test_it_is_gone_with_the_training_and_knows_two_addresses_only() -> None:
    with pytest.raises(ZeroDivisionError), Watch("<tiny>", 0) as watch:
        with urllib.request.urlopen(watch.url, timeout=5) as answer:
            assert "&lt;tiny&gt;" in answer.read().decode()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{watch.url}../secret", timeout=5)
        assert refused.value.code == 404
        refused.value.close()
        url = watch.url
        _ = 1 / 0
    assert watch.state()["phase"] == "stopped"
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=5)


def _asked(watch: Watch, *hosts: str) -> bytes:
    """The first line of the answer to a request for the state under these names."""
    port = watch._server.server_address[1]
    lines = ["GET /state.json HTTP/1.1", *(f"Host: {host}" for host in hosts), "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall("\r\n".join(lines).encode())
        with connection.makefile("rb") as answer:
            return answer.readline()


def test_it_answers_to_its_own_names_only() -> None:
    """Names that lead here from elsewhere are those of other sites' pages."""
    with Watch("tiny", 0) as watch:
        port = watch._server.server_address[1]
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost:9000"):
            assert b" 200 " in _asked(watch, host)
        foreign = (
            "evil.example",
            f"evil.example:{port}",
            f"localhost.evil.example:{port}",
            "",
            ":",
        )
        for host in foreign:
            assert b" 403 " in _asked(watch, host), host
        assert b" 403 " in _asked(watch)
        assert b" 403 " in _asked(watch, f"localhost:{port}", f"evil.example:{port}")


def test_half_open_connections_are_few_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "PATIENCE_S", 0.4)
    with Watch("tiny", 0) as watch, ExitStack() as held:
        place = ("127.0.0.1", watch._server.server_address[1])
        before = threading.active_count()
        silent = []
        for _ in range(3 * watched.MOST_CONNECTIONS):
            silent.append(held.enter_context(socket.create_connection(place, timeout=5)))
            with suppress(ConnectionError):
                silent[-1].sendall(b"GET /state.json HT")
        assert threading.active_count() <= before + watched.MOST_CONNECTIONS
        for each in silent:  # all are ended by the server: there is nothing more to read
            with suppress(ConnectionError):
                assert each.recv(1) == b""
        assert _state(watch)["phase"] == "waiting for data and calibration"


def test_a_connection_that_asks_too_slowly_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then does not keep it open."""
    monkeypatch.setattr(watched, "PATIENCE_S", 0.4)
    with Watch("tiny", 0) as watch:
        place = ("127.0.0.1", watch._server.server_address[1])
        with socket.create_connection(place, timeout=5) as slow:
            began = time.monotonic()
            with suppress(ConnectionError):
                while time.monotonic() - began < 4:
                    slow.sendall(b"G")
                    time.sleep(0.05)
            assert time.monotonic() - began < 3


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1000, "height": 860})
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    yield opened
    opened.close()
    assert said == []
    assert all(url.startswith(("http://127.0.0.1:", "data:")) for url in asked)


def test_the_page_follows_a_training_to_its_end(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "GAP", 0.0)
    seen: dict[str, Any] = {}

    def look() -> None:
        page.wait_for_function("document.getElementById('step').textContent.startsWith('10 ')")
        seen.update(
            phase=page.inner_text("#phase"),
            epoch=page.inner_text("#epoch"),
            norms=page.inner_text("#norm-legend"),
            drawn=[_ink(page, name) for name in ("accuracy", "firing", "norm", "raster")],
        )

    with Watch("tiny", 0) as watch:
        page.goto(watch.url)
        _fit(watch, Then(10, look))
    page.wait_for_function("document.getElementById('phase').textContent === 'over'")
    assert (seen["phase"], seen["epoch"]) == ("training", f"2 / {EPOCHS}")
    assert "layer 1: " in seen["norms"]
    assert min(seen["drawn"]) > 50
    assert page.inner_text("#step") == f"{EPOCHS * BATCHES} / {EPOCHS * BATCHES}"


def _ink(page: Any, canvas: str) -> int:
    """How many pixels of a canvas are painted."""
    script = """(id) => { const c = document.getElementById(id);
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; }"""
    return int(page.evaluate(script, canvas))
