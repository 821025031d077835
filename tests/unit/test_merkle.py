"""Merkle trees, against the vectors that certificate transparency's own tests use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge_gdpr.merkle import EMPTY_ROOT, Tree, leaf_hash, node_hash, path_to, root_by, root_of

#: The leaves and roots of the reference implementation of RFC 6962 (certificate-transparency,
#: merkletree/merkle_tree_test.cc): the root after each leaf.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
#: Paths of the same test: leaf, size of the tree, path.
PATHS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def test_a_tree_without_leaves_is_the_hash_of_nothing() -> None:
    assert Tree().root == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_roots(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("index", "size", "path"), PATHS)
def test_the_published_paths(index: int, size: int, path: list[str]) -> None:
    assert [one.hex() for one in path_to(index, LEAVES[:size])] == path


@given(st.integers(1, 70).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_every_leaf_is_proved_by_its_path_and_no_other(place: tuple[int, int]) -> None:
    size, index = place
    leaves = [bytes([number]) for number in range(size)]
    root, path = root_of(leaves), path_to(index, leaves)
    assert root_by(leaves[index], index=index, size=size, path=path) == root
    assert root_by(b"other", index=index, size=size, path=path) != root
    assert root_by(leaves[index], index=index, size=size, path=[*path, root]) != root
    for other in range(size):
        if other != index:
            assert root_by(leaves[index], index=other, size=size, path=path) != root


def test_what_cannot_belong_together_has_no_root() -> None:
    leaf = LEAVES[0]
    assert root_by(leaf, index=0, size=0, path=[]) is None
    assert root_by(leaf, index=-1, size=1, path=[]) is None
    assert root_by(leaf, index=1, size=1, path=[]) is None
    assert root_by(leaf, index=0, size=1, path=[leaf]) is None
    assert root_by(leaf, index=0, size=2, path=[]) is None
    assert root_by(leaf, index=2, size=3, path=[leaf, leaf]) is None
    assert root_by(leaf, index=0, size=3, path=[leaf]) is None
    with pytest.raises(IndexError, match="has no leaf 3"):
        path_to(3, LEAVES[:3])


def test_a_leaf_is_no_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)
