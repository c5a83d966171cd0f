"""Room for samples on a device that is not asked how many there are."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

HEADROOM = 1.25
"""Room over the most samples seen: views differ, and surfaces move."""
TIGHT = 0.95
"""Share of the room beyond which it grows before it overflows."""
REMEMBERED = 64
"""Calls whose samples are remembered."""


@dataclass(frozen=True)
class SampleCounts:
    """Samples of a render call: how many there are, or room for.

    Attributes:
        marched: Of the rays in occupied cells.
        visible: Those of them that are evaluated, if the field can tell which ones
            light reaches; all of them if it cannot.
    """

    marched: int
    visible: int

    def __str__(self) -> str:
        """For messages."""
        return f"{self.marched} samples, {self.visible} of them visible"


class SampleCapacity:
    """Rows of the samples of one kind, from how many earlier calls wanted.

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


class RenderCapacity:
    """Room for both kinds of samples of one kind of render call.

    Attributes:
        marched: For the samples of the rays in occupied cells.
        visible: For those of them that are evaluated.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.marched, self.visible = SampleCapacity(), SampleCapacity()

    @property
    def room(self) -> SampleCounts | None:
        """The rows in force; None while nothing is known."""
        marched, visible = self.marched.rows, self.visible.rows
        if marched is None or visible is None:
            return None
        return SampleCounts(marched, visible)

    def observe(self, wanted: SampleCounts) -> None:
        """Learn how many samples a call wanted, whether it got them or not."""
        visible, room = wanted.visible, self.room
        if room is not None and wanted.marched > room.marched:
            # Rays that found no room to march count no visible samples either. Let the
            # one grow like the other: otherwise the next call might overflow again.
            grown = room.visible * wanted.marched // room.marched
            visible = max(visible, min(grown, wanted.marched))
        self.marched.observe(wanted.marched)
        self.visible.observe(visible)


def _round_up(count: int) -> int:
    """To an eighth of its power of two, so that few sizes occur; at least 2^10."""
    unit = max(1 << 10, 1 << max(count.bit_length() - 4, 0))
    return -(-count // unit) * unit
