"""The documents to begin from."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "presets"


@lru_cache(maxsize=1)
def presets() -> dict[str, str]:
    """The texts of the presets by their names."""
    return {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.yaml"))}


def presets_told() -> list[tuple[str, str]]:
    """The name of each preset, and the program that its first line names."""
    return [(name, _program(text)) for name, text in presets().items()]


def _program(preset: str) -> str:
    return re.split(r"[,:(]| at |\.? *\n", preset.lstrip("# "))[0].strip("` ")
