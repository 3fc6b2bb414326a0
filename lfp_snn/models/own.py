"""``own``: a network that a function of the user makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from torch import nn
from typing_extensions import override

from lfp_snn.functions import network_maker
from lfp_snn.models.options import Model

__all__ = ["Own"]


class Own(Model):
    """The network that a function of one's own makes, for configs and comparisons.

    The function takes no arguments, and its network takes the inputs of the data and has an output
    for each class. It is called with torch's seed set to that of the run. A run directory tells its
    name alone: it is opened where the function is given again (``--net``).

    Attributes:
        function: the function as ``module:function``, seen from the folder where a command is run;
            ``mine:make_net`` is the function ``make_net`` of ``mine.py``.
    """

    describes: ClassVar[bool] = False

    name: Literal["own"] = "own"
    function: str

    @override
    def build(self, input_shape: Sequence[int], classes: int) -> nn.Module:
        return self.maker()()

    @override
    def maker(self) -> Callable[[], nn.Module]:
        return network_maker(self.function, "model.function")
