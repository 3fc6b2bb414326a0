from __future__ import annotations

import pytest

from benchmarks.steps.epoch import BATCH, mnist_epoch


def test_an_epoch_trains_on_the_images_it_says(real_data) -> None:  # type: ignore[no-untyped-def]
    epoch = mnist_epoch(real_data("MNIST").parent, most=4)
    assert epoch.images == 4 * BATCH and epoch.steps == 15
    assert 0.2 < epoch.accuracy < 1
    assert epoch.record()["seconds"] == pytest.approx(epoch.seconds) and epoch.seconds > 0
