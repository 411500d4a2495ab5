"""The language of the source: retired words and names do not come back.

Code and documents use the terms of docs/glossary.md. Each pattern below was once used here in a
private sense that a reader had to decode; beside it is what to write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("python", "rust", "benchmarks", "examples", "tests", "docs")
SUFFIXES = (".py", ".pyi", ".rs", ".md")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
EXEMPT = ("tests/test_language.py",)

RETIRED = {
    r"\brooms?\b": "buffer, workspace, space, module",
    r"\bRooms?\b": "ValueBuffers, WorkspacePool, LabelPlacement",
    r"\blent\b|\blends\b|\blending\b": "swapped in, borrowed, provides",
    r"\bwish(es|ed)?\b": "request, option",
    r"\bBench\b": "a noun for what the test sets up",
    r"\bcomes? along\b": "is computed as well, is passed",
    r"\btakes? turns\b|\bin turns\b|\bby turns\b": "round-robin, alternates, interleaved",
    r"\bgone on with\b|\bgoes on with\b|\bgoing on with\b": "resumed",
    r"\bwhoever\b": "the noun",
    r"\bwhat becomes of\b|\bWhat becomes of\b": "what happens, as a noun",
    r"\bwithout slope\b": "critical",
    r"\bstands? still\b|\bstood still\b": "is fixed, stagnates",
    r"\bStage\b|\bSupply\b|\bNatives\b|\bSampleFacts\b": "SwappedModel, Backends, NativeCache, ...",
    r"\bSlopes\b|\bSearched\b|\bProfiled\b|\bMatched\b": "nouns of the field",
    r"\bBending\b|\bbending\b": "curve training",
    r"\bpuzzles?\b": "problem",
    r"\b(is|are|was|were) looked at\b": "evaluated, inspected, examined",
    r"\bthe way there\b|\bways there\b|\bon the way\b": "solver, path, before",
    r"\bstraight way\b": "straight line",
}


def sources() -> Iterator[tuple[str, str]]:
    """Path and text of every file that is read."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    files += [ROOT / name for name in DOCUMENTS]
    for path in sorted(files):
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in SUFFIXES and name not in EXEMPT and "/target/" not in name:
            yield name, path.read_text()


SOURCES = dict(sources())


@pytest.mark.parametrize("pattern", RETIRED)
def test_retired_words_do_not_come_back(pattern: str) -> None:
    assert len(SOURCES) > 300
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in SOURCES.items()
        if re.search(pattern, text)
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(pattern, line)
    ]
    assert not found, f"write instead: {RETIRED[pattern]}\n" + "\n".join(found)


def test_every_file_says_in_its_first_line_what_it_holds() -> None:
    silent = [
        name
        for name, text in SOURCES.items()
        if (name.endswith((".py", ".pyi")) and not text.startswith(('"""', 'r"""')))
        or (name.endswith(".rs") and not text.startswith("//!"))
    ]
    assert not silent
