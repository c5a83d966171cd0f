"""What every section is told (standard library only)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How to run a section.

    Attributes:
        device: `cuda`, or `cpu` for a dry run.
        is_quick: Fewer rounds and cases.
        work: Folder for binaries, logs and what one section leaves for another.
        peers: Other implementations by name, and where they are.
        seconds: The section's time limit; a section of many parts divides it.
    """

    device: str
    is_quick: bool
    work: str
    peers: dict[str, str] = field(default_factory=dict)
    seconds: float = 60.0

    @property
    def is_dry(self) -> bool:
        """Tiny cases on the CPU, to exercise the plumbing."""
        return self.device == "cpu"

    @property
    def rounds(self) -> int:
        """Timed rounds of a case."""
        if self.is_dry:
            return 2
        return 20 if self.is_quick else 50

    @property
    def ceilings_path(self) -> Path:
        """Where the ceilings are left for the floors."""
        return Path(self.work, "ceilings.json")

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Setting:
        return cls(**json.loads(text))
