"""``own``: a network that a function of the user makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from typing_extensions import override

from lfp_snn.errors import ConfigError
from lfp_snn.makers import network_maker, permitted
from lfp_snn.models.options import Model

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Own"]


class Own(Model):
    """The network that a function of one's own makes, for configs and comparisons.

    No file calls code by itself: the function is named on the command line too (``--net``). It
    takes no arguments, and its network takes the inputs of the data and has an output for each
    class. It is called with torch's seed set to that of the run, and again where the run is opened.

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
        if not permitted(self.function):
            raise ConfigError(
                f"model.function is {self.function!r}, but no file calls code by itself: name the "
                f"function on the command line, --net {self.function}."
            )
        return network_maker(self.function, "--net")
