"""Trees of cell populations, in Newick notation, and the similarity of the populations."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

_TOKENS = re.compile(r"'(?:[^']|'')*'|[(),:;]|[^\s(),:;']+|'")


@dataclass(frozen=True, eq=False)
class PopulationTree:
    """Populations at the tips of a tree.

    Attributes
    ----------
    populations
        Names of the tips, in the order of the text.
    shared_lengths
        Length of the path from the root shared by two tips, shape (populations, populations).
    """

    populations: tuple[str, ...]
    shared_lengths: np.ndarray

    @property
    def correlation(self) -> np.ndarray:
        """Correlation of a Brownian motion along the tree, shape (populations, populations)."""
        scales = np.sqrt(np.diag(self.shared_lengths))
        return self.shared_lengths / np.outer(scales, scales)


def parse_newick(text: str) -> PopulationTree:
    """Read a tree such as ``((A:1,B:1):2,C:3);``.

    Every branch needs a length; names of inner nodes and a length of the root are ignored, comments
    in brackets too. Names with other than plain characters stand in single quotes.

    Raises
    ------
    ValueError
        If the text is not such a tree, or a tip is nameless, named twice or at the root.
    """
    reader = _Reader(text)
    for token in _TOKENS.findall(re.sub(r"\[[^\]]*\]", "", text)):
        reader.read(token)
    reader.finish()
    names = reader.names
    shared = np.zeros((len(names), len(names)))
    for length, tips in reader.branches:
        shared[np.ix_(tips, tips)] += length
    if len(names) == 1:
        shared[:] = 1.0
    for name, length in zip(names, np.diag(shared), strict=True):
        if length == 0:
            raise reader.error(f"tip {name} is at the root; give it a length above 0")
    return PopulationTree(tuple(names), shared)


class _Reader:
    """The tips and branches read so far; a node is the list of the tips below it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: list[str] = []
        self.branches: list[tuple[float, list[int]]] = []
        self._open_groups: list[list[int]] = []
        self._node: list[int] | None = None
        self._length: float | None = None
        self._previous = ""

    def error(self, reason: str) -> ValueError:
        shown = self.text if len(self.text) <= 80 else self.text[:77] + "..."
        return ValueError(f"tree {shown!r}: {reason}")

    def read(self, token: str) -> None:
        """Take the next token."""
        if self._previous == ";":
            raise self.error(f"has {token!r} after its end; give one tree")
        if self._previous == ":":
            self._read_length(token)
        elif token == "(":
            if self._node is not None:
                raise self.error("has '(' after a name or ')'; a ',' is missing")
            self._open_groups.append([])
        elif token in {",", ")"}:
            self._end_branch(token)
        elif token == ":":
            if self._node is None or self._length is not None:
                raise self.error("has ':' where no node is before it; give every tip a name")
        elif token == ";":
            if self._node is None or self._open_groups:
                raise self.error("ends before every '(' has its ')'; complete it")
        else:
            self._read_name(token)
        self._previous = token

    def finish(self) -> None:
        """Refuse text that has not ended."""
        if self._previous != ";":
            raise self.error("does not end with ';'; complete it")

    def _read_length(self, token: str) -> None:
        try:
            length = float(token)
        except ValueError:
            raise self.error(f"has {token!r} where the length of a branch is expected") from None
        if not 0 <= length < np.inf:
            raise self.error(f"has a branch of length {token}; lengths are finite and not negative")
        self._length = length

    def _read_name(self, token: str) -> None:
        if token == "'":
            raise self.error("has a quote that is not closed")
        if self._node is not None:
            if self._previous != ")":
                raise self.error(f"has {token!r} where ',', ':' or ')' is expected")
            return  # the name of an inner node
        name = token[1:-1].replace("''", "'") if token.startswith("'") else token
        if not name or name in self.names:
            raise self.error(f"has a tip named {name!r} twice or without a name; rename it")
        self._node = [len(self.names)]
        self.names.append(name)

    def _end_branch(self, token: str) -> None:
        if not self._open_groups:
            raise self.error(f"has {token!r} outside of parentheses; check them")
        if self._node is None:
            raise self.error(f"has {token!r} where a tip is expected; give every tip a name")
        if self._length is None:
            tips = ", ".join(self.names[tip] for tip in self._node)
            raise self.error(f"has no length for the branch above {tips}; write NAME:LENGTH")
        self.branches.append((self._length, self._node))
        self._open_groups[-1].extend(self._node)
        self._node = self._open_groups.pop() if token == ")" else None
        self._length = None
