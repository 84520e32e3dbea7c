"""What a resource refers to, found in its text: the same as by walking through it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapter.compose.references import referred, targets

_NAMES = st.sampled_from(["reference", "subject", "actor", "display", 'a"b'])
_TEXTS = st.text(max_size=8) | st.sampled_from(
    ["Patient/p", "Organization/o", "http://a/b", "urn:x:1", "#c", '"reference":"Patient/q"', "\\", 'A/"'])
_VALUES = st.recursive(_TEXTS | st.integers(0, 99) | st.none(),
                       lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4), max_leaves=12)


@given(st.dictionaries(_NAMES, _VALUES, max_size=5))
def test_what_is_found_in_the_text_is_what_stands_in_the_tree(body: dict[str, Any]) -> None:
    assert referred(body) == targets(body, set())
