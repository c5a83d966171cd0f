"""The curves of a run: every term at every step."""

from __future__ import annotations

from dataclasses import dataclass, field

SIGNIFICANT_DIGITS = 6


@dataclass
class History:
    """Terms by step, in columns.

    Attributes:
        steps: The steps recorded, ascending.
        terms: A column a term, as long as `steps`; None where a step lacks the term.
        messages: What happened besides, by step (recoveries).
    """

    steps: list[int] = field(default_factory=list)
    terms: dict[str, list[float | None]] = field(default_factory=dict)
    messages: list[tuple[int, str]] = field(default_factory=list)

    def append(self, step: int, terms: dict[str, float], message: str = "") -> None:
        """Record a step; one at or before the last replaces what came after it."""
        self.truncate(step - 1 if terms else step)
        if message:
            self.messages.append((step, message))
        if not terms:
            return
        self.steps.append(step)
        for name in terms:
            self.terms.setdefault(name, [None] * (len(self.steps) - 1))
        for name, column in self.terms.items():
            value = terms.get(name)
            column.append(
                None if value is None else float(f"{value:.{SIGNIFICANT_DIGITS}g}")
            )

    def truncate(self, step: int) -> None:
        """Forget what was recorded after `step`."""
        while self.steps and self.steps[-1] > step:
            self.steps.pop()
            for column in self.terms.values():
                column.pop()

    def to_dict(self) -> dict[str, object]:
        """As a JSON object."""
        return {
            "steps": self.steps,
            "terms": self.terms,
            "messages": [list(message) for message in self.messages],
        }

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> History:
        """From a JSON object that `to_dict` made."""
        return cls(
            steps=list(values["steps"]),  # type: ignore[call-overload]
            terms=dict(values["terms"]),  # type: ignore[call-overload]
            messages=[
                (int(step), str(text))
                for step, text in values["messages"]  # type: ignore[attr-defined]
            ],
        )
