"""Room for samples on a device that is not asked how many there are."""

from __future__ import annotations

from collections import deque

HEADROOM = 1.25
"""Room over the most samples seen: views differ, and surfaces move."""
TIGHT = 0.95
"""Share of the room beyond which it grows before it overflows."""
REMEMBERED = 64
"""Calls whose samples are remembered."""


class SampleCapacity:
    """Rows of the samples of one kind of render call, from what earlier calls wanted.

    Tensors of a fixed size need no word from the device: it can be left to work, and
    its kernels can be captured in a graph. What they cost is padding. So the size
    follows the need, seldom and in coarse steps, since whoever depends on it (graphs,
    the allocator's blocks) has to begin anew.

    Attributes:
        rows: The size in force; None while nothing is known, which means exact sizes.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.rows: int | None = None
        self._wanted: deque[int] = deque(maxlen=REMEMBERED)

    def observe(self, num_wanted: int) -> None:
        """Learn how many samples a call wanted, whether it got them or not."""
        self._wanted.append(num_wanted)
        most = max(self._wanted)
        rows = _round_up(int(HEADROOM * most) + 1)
        if self.rows is None or most > TIGHT * self.rows or 2 * rows < self.rows:
            self.rows = rows


def _round_up(count: int) -> int:
    """To an eighth of its power of two, so that few sizes occur; at least 2^10."""
    unit = max(1 << 10, 1 << max(count.bit_length() - 4, 0))
    return -(-count // unit) * unit
