"""Marks on the slice slider: which slices of an arriving series are there."""

from __future__ import annotations

MAX_MARKS = 120  # stretches drawn on the slider; more cannot be distinguished


def arrival_marks(filled: set[int], count: int) -> str:
    """Return a CSS gradient that marks the slices that have arrived."""
    parts = min(count, MAX_MARKS)
    stops: list[str] = []
    present = [
        any(k in filled for k in range(part * count // parts, (part + 1) * count // parts))
        for part in range(parts)
    ]
    start = 0
    for part in range(1, parts + 1):
        if part == parts or present[part] != present[start]:
            colour = "#5b8def" if present[start] else "transparent"
            stops.append(f"{colour} {100 * start / parts:.1f}% {100 * part / parts:.1f}%")
            start = part
    return f"linear-gradient(to right, {', '.join(stops)})"
