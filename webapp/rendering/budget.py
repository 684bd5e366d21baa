"""How much work one text may cost: counted in steps, so that every machine stops at the same place."""

from __future__ import annotations


class OverBudget(Exception):
    """The text costs more than it may; it is shown as it is written."""


class Budget:
    """Steps that are left; a step costs about 10 us."""

    __slots__ = ("left",)

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int = 1) -> None:
        """Take steps. Raises OverBudget once there are none."""
        self.left -= steps
        if self.left < 0:
            raise OverBudget
