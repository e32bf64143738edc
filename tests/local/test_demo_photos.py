"""Which photos the demo takes, and what happens to which of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.demo.cases import CASES, THROTTLED_SHOP, Kind, assign, simulator_rules
from local.demo.photos import (
    LARGEST_BYTES,
    PhotosError,
    Picture,
    own_pictures,
    pictures_in,
    title_of,
)
from local.pikcel_simulator.catalogue import TOOLS
from local.provider_simulator.faults import FaultBook, Rule

URL = "http://127.0.0.1:1/photos"


def pictures(count: int) -> list[Picture]:
    return [Picture(f"{n}.jpg", f"Photo {n}", "upscale-4x", b"") for n in range(count)]


def rules_of(names: list[str]) -> list[Rule]:
    given = [Picture(name, name, "upscale-4x", b"") for name in names]
    return [Rule.model_validate(rule) for rule in simulator_rules(assign(given, URL))]


def test_a_dozen_photos_see_every_case_and_two_see_none() -> None:
    kinds = [each.case.kind for each in assign(own_pictures(), URL)]
    assert len(kinds) == 12
    assert set(kinds) == set(Kind)
    assert kinds[-2:] == [Kind.PLAIN, Kind.PLAIN]
    assert kinds[0] is Kind.LOST  # its poll is due a minute after it was sent


def test_fewer_photos_see_the_first_cases_only() -> None:
    kinds = [each.case.kind for each in assign(pictures(3), URL)]
    assert kinds == [case.kind for case in CASES[:3]]


def test_only_the_throttled_photos_go_to_the_other_shop() -> None:
    for each in assign(own_pictures(), URL):
        is_there = each.case.shop == THROTTLED_SHOP
        assert is_there == (each.case.kind is Kind.THROTTLED)


def test_every_fault_is_one_that_the_simulator_knows() -> None:
    rules = rules_of([f"{n}.jpg" for n in range(12)])
    assert len(rules) == sum(bool(case.faults) for case in CASES)


def test_a_rule_means_its_own_photo_even_among_similar_names() -> None:
    names = ["chair.jpg", "armchair.jpg", "a chair.jpg"]
    rules = rules_of(names)
    urls = [each.input_url for each in assign([Picture(n, n, "x", b"") for n in names], URL)]
    for position, url in enumerate(urls):
        request = {"input_image_url": url, "tool_id": "upscale-4x"}
        assert [rule.match.holds(1, request) for rule in rules] == [
            number == position for number in range(3)
        ]


def test_the_failing_photo_fails_once_and_succeeds_when_it_is_tried_again() -> None:
    rules = rules_of([f"{n}.jpg" for n in range(12)])
    failing = next(n for n, case in enumerate(CASES) if case.kind is Kind.RETRIED)
    request = {"input_image_url": f"{URL}/{failing}.jpg", "tool_id": "upscale-4x"}
    book = FaultBook()
    assert book.of_dispatch(rules, 1, request).fail is not None
    assert book.of_dispatch(rules, 2, request).fail is None


def test_own_photos_get_titles_tools_and_addresses_from_their_files(tmp_path: Path) -> None:
    for name in ("Red_hat.JPG", "b c.png", "scarf.webp", "notes.txt", "z.gif"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "folder.jpg").mkdir()
    found = pictures_in(tmp_path)
    assert [(each.title, each.data) for each in found] == [
        ("Red hat", b"Red_hat.JPG"),
        ("B c", b"b c.png"),
        ("Scarf", b"scarf.webp"),
    ]
    assert [each.input_url for each in assign(found, URL)][1] == f"{URL}/b%20c.png"
    assert {each.tool_id for each in found} <= TOOLS.keys()


def test_a_folder_without_photos_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match=str(tmp_path)):
        pictures_in(tmp_path)
    with pytest.raises(PhotosError, match="is not a folder"):
        pictures_in(tmp_path / "missing")


def test_a_photo_that_the_provider_would_refuse_is_named_at_once(tmp_path: Path) -> None:
    with (tmp_path / "huge.jpg").open("wb") as huge:
        huge.truncate(LARGEST_BYTES + 1)
    with pytest.raises(PhotosError, match=r"huge\.jpg"):
        pictures_in(tmp_path)


def test_a_file_name_without_words_still_gives_a_title() -> None:
    assert title_of("--__") == "Photo"
