"""Merkle trees as in RFC 6962 §2.1: one hash for many events, and short proofs of one of them.

Decides only; does no I/O.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: The root of a tree without leaves: the hash of nothing.
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf; its prefix keeps a leaf from passing for a node."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows leaf by leaf and keeps only the roots of its full subtrees."""

    def __init__(self) -> None:
        self.size = 0
        self._full: list[bytes] = []  # the largest first; one for each 1 in ``size``

    def add(self, data: bytes) -> None:
        """Append a leaf."""
        node, size = leaf_hash(data), self.size
        while size % 2:
            node = node_hash(self._full.pop(), node)
            size //= 2
        self._full.append(node)
        self.size += 1

    @property
    def root(self) -> bytes:
        """The hash over all leaves so far, 32 bytes."""
        if not self._full:
            return EMPTY_ROOT
        *others, root = self._full
        for subtree in reversed(others):
            root = node_hash(subtree, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over the data of all leaves."""
    tree = Tree()
    for data in leaves:
        tree.add(data)
    return tree.root


def path_to(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return the audit path of a leaf: the hashes beside its way up, the lowest first.

    Args:
        index: of the leaf, from 0.
        leaves: the data of all of them.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"a tree of {len(leaves)} leaves has no leaf {index}")
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*path_to(index, leaves[:split]), root_of(leaves[split:])]
    return [*path_to(index - split, leaves[split:]), root_of(leaves[:split])]


def root_by(data: bytes, *, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a leaf and its audit path lead to; None if they can't belong together.

    Args:
        data: of the leaf.
        index: of the leaf, from 0.
        size: how many leaves the tree has.
        path: as `path_to` gives it.
    """
    if not 0 <= index < size:
        return None
    if size == 1:
        return leaf_hash(data) if not path else None
    if not path:
        return None
    *below, beside = path
    split = _split(size)
    if index < split:
        left = root_by(data, index=index, size=split, path=below)
        return None if left is None else node_hash(left, beside)
    right = root_by(data, index=index - split, size=size - split, path=below)
    return None if right is None else node_hash(beside, right)


def _split(size: int) -> int:
    """Return the largest power of two that is less than ``size``."""
    return int(1 << (size - 1).bit_length() - 1)
