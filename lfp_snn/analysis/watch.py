"""A page on this machine that shows a training while it runs, and asks for news every second.

An observer of the training collects points, at most one in :data:`GAP` seconds so that a training
is not slowed down, and a server in a thread of its own hands them out. It listens on 127.0.0.1
alone and answers two addresses, the page and its state.
"""

from __future__ import annotations

import json
import math
import socket
import sys
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from typing_extensions import override

from lfp_snn.errors import RunError
from lfp_snn.training import Observer, StepReport
from lfp_snn.training.observer import SampleSpikes, Watched

__all__ = ["GAP", "Watch"]

HOST = "127.0.0.1"
#: Seconds between two points, at least.
GAP = 0.1
MOST_POINTS = 1200  # of a curve; beyond, every second one is dropped
MOST_UNITS = 300  # neurons of a layer in the raster, evenly spread
MOST_CONNECTIONS = 16  # at once; a page has one
PATIENCE_S = 10.0  # of a connection, from its beginning to its end
FAREWELL_S = 2.5  # for an open page to fetch the last state; it asks every second


class Watch(Observer):
    """An observer that serves a page about a training, for the time of a ``with`` block.

    The page shows accuracy, firing rates and norms of the feedback by layer over the steps, the
    spikes of one validation sample after each epoch, and the time left.

    Args:
        name: the name of the training, for the title.
        port: the port of the page; 0 takes any that is free.

    Raises:
        RunError: the port is taken, or may not be used.
    """

    def __init__(self, name: str, port: int) -> None:
        environment = Environment(
            loader=PackageLoader("lfp_snn.analysis"), autoescape=True, undefined=StrictUndefined
        )
        self.page = environment.get_template("watch.html").render(name=name).encode()
        try:
            self._server = _Server((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "there is no such port"
            raise RunError(
                f"--port {port} of {HOST} cannot be listened on ({reason}): name another, or 0 for "
                "any that is free."
            ) from error
        self._server.watch = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._lock = Lock()
        self._training: Watched | None = None
        self._phase = "waiting for data and calibration"
        self._report: StepReport | None = None
        self._first_step = 0
        self._began = self._noted = time.perf_counter()
        self._every = 1  # points are kept of so many gaps
        self._points: list[dict[str, Any]] = []
        self._epochs: list[dict[str, Any]] = []
        self._warnings: list[str] = []
        self._raster: dict[str, Any] | None = None
        self._labels: dict[str, str] = {}
        self._asked = -np.inf
        self._told = Event()

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self._server.server_address[1]}/"

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._phase = "over" if error is None else "stopped"
            looked_at = time.perf_counter() - self._asked < FAREWELL_S
        if looked_at:
            self._told.wait(FAREWELL_S)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @override
    def attached(self, training: Watched) -> None:
        self._training = training

    @override
    def started(self, report: StepReport) -> None:
        self._began, self._first_step = time.perf_counter(), report.step
        labels = {} if self._training is None else self._training.labels()
        with self._lock:
            self._phase, self._report, self._labels = "training", report, labels
        self._look(report.epoch - 1)

    @override
    def stepped(self, report: StepReport) -> None:
        now = time.perf_counter()
        with self._lock:
            self._report = report
        if self._training is None or now - self._noted < GAP * self._every:
            return
        self._noted = now
        point = {
            "step": report.step,
            "accuracy": _known(report.accuracy),
            "firing": self._training.firing(),
            "norm": self._training.feedback_norms(),
        }
        with self._lock:
            self._points.append(point)
            if len(self._points) > MOST_POINTS:
                self._points, self._every = self._points[::2], 2 * self._every

    @override
    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        names = ("epoch", "step", "train_accuracy", "val_accuracy")
        with self._lock:
            self._epochs.append({name: metrics[name] for name in names})
        self._look(metrics["epoch"])

    @override
    def warned(self, message: str) -> None:
        with self._lock:
            self._warnings.append(message)

    @override
    def testing(self) -> None:
        with self._lock:
            self._phase = "testing"

    def _look(self, epoch: int) -> None:
        """Take a new raster."""
        if self._training is not None:
            raster = {"epoch": epoch, **_raster(self._training.sample())}
            with self._lock:
                self._raster = raster

    def state(self) -> dict[str, Any]:
        """Everything that the page shows, as JSON takes it."""
        with self._lock:
            report, points = self._report, list(self._points)
            state: dict[str, Any] = {
                "phase": self._phase,
                "epochs": list(self._epochs),
                "warnings": list(self._warnings),
                "raster": self._raster,
                "labels": dict(self._labels),
            }
        if report is not None:
            state |= {
                "epoch": report.epoch,
                "allEpochs": report.steps // max(1, report.batches),
                "step": report.step,
                "steps": report.steps,
                "accuracy": _known(report.accuracy),
                "secondsLeft": self._seconds_left(report),
            }
        state["points"] = {
            "step": [point["step"] for point in points],
            "accuracy": [_rounded(point["accuracy"]) for point in points],
            "firing": _by_layer(points, "firing"),
            "norm": _by_layer(points, "norm"),
        }
        return state

    def _seconds_left(self, report: StepReport) -> float | None:
        done = report.step - self._first_step
        if not done:
            return None
        return (time.perf_counter() - self._began) * (report.steps - report.step) / done

    def answer(self) -> bytes:
        """The bytes of the state that the page gets."""
        state = self.state()
        self._asked = time.perf_counter()
        if state["phase"] in ("over", "stopped"):
            self._told.set()
        return json.dumps(state, allow_nan=False).encode()


def _by_layer(points: list[dict[str, Any]], what: str) -> dict[str, list[float | None]]:
    """The curves by layer; None where a layer has no value."""
    layers = dict.fromkeys(layer for point in points for layer in point[what])
    return {layer: [_rounded(point[what].get(layer)) for point in points] for layer in layers}


def _rounded(value: float | None) -> float | None:
    """A value as the page gets it; None for one that is not there or not finite."""
    if value is None or not math.isfinite(value):  # a step that was passed over, or no classes
        return None
    return float(f"{value:.5g}")


def _raster(sample: SampleSpikes) -> dict[str, Any]:
    """The steps and neurons of a sample's spikes, of each layer no more than can be seen."""
    layers, steps = [], 0
    for name, spikes in sample.spikes.items():
        steps, units = spikes.shape
        chosen = np.unique(np.linspace(0, units - 1, min(units, MOST_UNITS)).round().astype(int))
        step, unit = np.nonzero(spikes[:, chosen])
        layers.append(
            {
                "name": name,
                "units": units,
                "shown": len(chosen),
                "step": step.tolist(),
                "unit": unit.tolist(),
            }
        )
    return {
        "label": sample.label,
        "prediction": sample.prediction,
        "steps": steps,
        "layers": layers,
    }


class _Server(ThreadingHTTPServer):
    """A server that answers a few connections at once, each for a few seconds at most.

    A thread stands for each connection, so that a page which is slow to ask keeps no other waiting.
    Beyond `MOST_CONNECTIONS` they are closed unanswered, and after `PATIENCE_S` whether they have
    asked or not: what is opened and left half open, by whomever, costs a training nothing.
    """

    daemon_threads = True
    watch: Watch

    def __init__(self, *args: Any) -> None:
        self._open: dict[Any, float] = {}
        self._guard = Lock()
        super().__init__(*args)

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            taken = len(self._open) < MOST_CONNECTIONS
            if taken:
                self._open[request] = time.monotonic()
        if taken:
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    @override
    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._open.pop(request, None)

    @override
    def service_actions(self) -> None:
        """Close connections that have been open for too long; called many times a second."""
        late = time.monotonic() - PATIENCE_S
        with self._guard:
            overdue = [request for request, since in self._open.items() if since < late]
        for request in overdue:
            with suppress(OSError):  # it is closing by itself
                request.shutdown(socket.SHUT_RDWR)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over the error of a page that was closed while it was answered."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        """Answer with the page, its state, or nothing."""
        watch = self.server.watch
        if not _is_here(self.headers.get_all("Host", [])):
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/":
            self._send("text/html; charset=utf-8", watch.page)
        elif self.path == "/state.json":
            self._send("application/json", watch.answer())
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send(self, kind: str, content: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing, since the console belongs to the training."""


def _is_here(hosts: list[str]) -> bool:
    """Whether a request is for this machine, by the one name that it gives for it.

    A page of another site can have its own name lead to 127.0.0.1, and its scripts then ask here as
    if it were their own server; but they ask under that name. The port may be another where it is
    forwarded.
    """
    return len(hosts) == 1 and hosts[0].partition(":")[0] in (HOST, "localhost")


def _known(accuracy: float) -> float | None:
    """An accuracy, or None in the place of NaN (there are no classes), which JSON does not know."""
    return None if math.isnan(accuracy) else accuracy
