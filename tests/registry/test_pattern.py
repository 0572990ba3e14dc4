from __future__ import annotations

import pytest

from registry.pattern import check_pattern, found_in


def test_a_pattern_is_looked_for_anywhere_in_each_text() -> None:
    assert found_in(r"(?i)ÄPFEL|^\d+$", ["drei äpfel", "12", "12\n", "x12", ""]) == [True, True, False, False, False]
    assert found_in("x", []) == []


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "(a*)*b$", "(.*a){20}$"])
def test_no_pattern_takes_longer_than_its_text_is_long(pattern: str) -> None:
    """An engine that backtracks needs years for each of these."""
    check_pattern(pattern)
    assert found_in(pattern, ["a" * 50_000 + "!"]) == [False]


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?<=a)b", "(?!a)b", "[", "*", r"a\Z"])
def test_what_needs_backtracking_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="not a regular expression of RE2"):
        check_pattern(pattern)
