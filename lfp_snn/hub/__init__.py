"""Trained networks that come with the package, each with a model card.

    net, card = lfp_snn.hub.load("nmnist_csnn")

On the command line ``hub:nmnist_csnn`` stands wherever a run does: ``lfp-snn explain
hub:nmnist_csnn recording.bin``. A network is weights in safetensors and settings in YAML and JSON;
nothing is executed from its files, and nothing is downloaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from lfp_snn.later import later
from lfp_snn.options import Section
from lfp_snn.shipped import located, shipped_networks
from lfp_snn.training.configfile import read_mapping

if TYPE_CHECKING:
    from torch import nn

    from lfp_snn.training import trained
else:
    trained = later("lfp_snn.training.trained")

__all__ = ["Card", "HubNetwork", "card", "load", "names"]


class Card(Section):
    """The card of a shipped network: where it comes from and what may be said of it.

    Attributes:
        about: one sentence that says what it is.
        data: the recordings it was trained on, and who made them.
        licence: the licence of these recordings.
        samples: the numbers of samples of the parts ``train``, ``val`` and ``test``.
        rule: the rule by which it learnt.
        seed: the seed of the training.
        command: the command line of the training.
        val_accuracy: the share of the validation part that is read correctly; it chose the epoch.
        test_accuracy: the share of the test part that is read correctly; it was looked at once.
        parameters: the number of weights and biases.
        versions: the versions of the packages it was trained with.
        use: what may be said of it, and what may not.
    """

    about: str
    data: str
    licence: str
    samples: dict[str, int]
    rule: str
    seed: int
    command: str
    val_accuracy: float = Field(ge=0, le=1)
    test_accuracy: float = Field(ge=0, le=1)
    parameters: int
    versions: dict[str, str]
    use: str

    def rows(self) -> list[tuple[str, str]]:
        """The card as rows of a table."""
        train, val, test = (self.samples[part] for part in ("train", "val", "test"))
        return [
            ("about", self.about),
            ("data", f"{self.data}; {self.licence}"),
            ("test accuracy", f"{100 * self.test_accuracy:.2f} %  of {test}"),
            ("validation accuracy", f"{100 * self.val_accuracy:.2f} %  of {val}"),
            ("trained on", f"{train} samples, rule {self.rule}, seed {self.seed}"),
            ("command", self.command),
            ("versions", ", ".join(f"{name} {each}" for name, each in self.versions.items())),
            ("use", self.use),
        ]


class HubNetwork(NamedTuple):
    """A shipped network with its card.

    Attributes:
        net: the network, in evaluation mode; its forward is one time step.
        card: what is known of it.
    """

    net: nn.Module
    card: Card


def names() -> list[str]:
    """The names of the shipped networks."""
    return list(shipped_networks())


def card(name: str) -> Card:
    """The model card of a shipped network.

    Raises:
        RunError: there is no shipped network of that name.
    """
    path = located(f"hub:{name}") / "card.yaml"
    return Card.model_validate(read_mapping(path))


def load(name: str) -> HubNetwork:
    """Load a shipped network with its trained weights, in evaluation mode, and its card.

    :meth:`TrainedRun.open("hub:NAME") <lfp_snn.training.TrainedRun.open>` gives more: the classes,
    the encoding of recordings (:meth:`~lfp_snn.training.TrainedRun.read`) and the learner.

    Args:
        name: one of :func:`names`.

    Raises:
        RunError: there is none of that name.
    """
    return HubNetwork(trained.TrainedRun.open(f"hub:{name}").learner.net, card(name))
