"""The page that says where each field goes is what the mappings say."""

from __future__ import annotations

import re

import pytest

from tools.fields import PAGE, SEGMENTS, page


@pytest.fixture(name="made", scope="module")
def _made() -> str:
    return page()


def test_the_page_is_what_the_mappings_say(made: str) -> None:
    assert PAGE.read_text(encoding="utf-8") == made, "make fields writes it anew"


@pytest.mark.parametrize("line", [
    "| PID-8 | Administrative sex | `Patient.gender` | `cwe_code` | 0001 `administrative-sex` |  |",
    "| PID-8 |  | `Patient._gender` | `cwe_alternate_codes` | `administrative-sex` |  |",
    "| PV1-1 | Set id pv1 | **dropped**: set id |  |  |  |",
    "| PID-7 | Date time of birth | `Patient.birthDate` | `dtm_date` |  |  |",
], ids=["coded", "concept map", "dropped", "not coded"])
def test_a_field_is_told_with_element_and_function_or_reason(made: str, line: str) -> None:
    assert line in made


def test_every_segment_has_a_table(made: str) -> None:
    assert re.findall(r"^## ([A-Z0-9]{3})$", made, re.MULTILINE) == list(SEGMENTS)


def test_the_fields_of_a_segment_come_in_order_and_none_is_left_out(made: str) -> None:
    numbers = [int(n) for n in re.findall(r"^\| PID-(\d+)", made, re.MULTILINE)]
    assert numbers == sorted(numbers)
    assert set(numbers) >= set(range(1, 40))


def test_a_function_tells_what_it_does_with_each_component(made: str) -> None:
    account = made.partition("\n### cx_identifier\n")[2].partition("\n### ")[0]
    assert "| 1 | `value` |" in account
    assert {"4.2", "5", "7"} <= set(re.findall(r"^\| ([\d.]+) \|", account, re.MULTILINE))
