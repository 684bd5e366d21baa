"""Limits the work for one text, counted in steps: every machine stops at the same place."""

from __future__ import annotations

from dataclasses import dataclass


class OverBudget(Exception):
    """The text costs too many steps; it is shown as plain text."""


@dataclass(slots=True)
class Budget:
    """The steps left; a step takes about 10 us."""

    left: int

    def spend(self, steps: int = 1) -> None:
        """Use up steps. Raises OverBudget if too few are left."""
        self.left -= steps
        if self.left < 0:
            raise OverBudget
