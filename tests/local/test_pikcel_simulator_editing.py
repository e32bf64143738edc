"""The simulator's image work, on real photographs, and the photographs themselves."""

import io

import pytest
from PIL import Image, ImageChops, ImageStat

from local.photos import PHOTOS, Photo, photo
from local.pikcel_simulator.catalogue import TOOLS
from local.provider_simulator.editing import MAX_SIDE, TOOL_IDS, EditError, edit
from tests.local.pikcel_world import small_photo

SOURCES = (PHOTOS[0].path.parent / "SOURCES.md").read_text(encoding="utf-8")


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def picture(width: int, height: int, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).save(buffer, form)
    return buffer.getvalue()


def test_every_tool_on_sale_can_be_carried_out() -> None:
    assert frozenset(TOOLS) == TOOL_IDS


@pytest.mark.parametrize("tool_id", sorted(TOOL_IDS))
def test_tool_changes_the_picture_visibly(tool_id: str) -> None:
    before = opened(small_photo())
    edited = edit(tool_id, small_photo())
    after = opened(edited.data)
    assert after.size == (edited.width, edited.height)
    difference = ImageChops.difference(before, after.resize(before.size))
    changed = difference.convert("L").point(lambda level: 255 if level > 4 else 0)
    changed_share = ImageStat.Stat(changed).mean[0] / 255
    assert changed_share > 0.02 or after.size != before.size


@pytest.mark.parametrize("tool_id", sorted(TOOL_IDS))
def test_output_says_truly_what_it_is(tool_id: str) -> None:
    edited = edit(tool_id, small_photo())
    with Image.open(io.BytesIO(edited.data)) as after:
        assert after.get_format_mimetype() == edited.media_type
    assert edited.extension == {"image/jpeg": "jpg", "image/png": "png"}[edited.media_type]


def test_same_picture_and_tool_give_the_same_bytes() -> None:
    assert edit("ghost-mannequin", small_photo()) == edit("ghost-mannequin", small_photo())


@pytest.mark.parametrize("name", ["cactus-terracotta-pot", "hanging-ivy", "skipping-rope"])
def test_background_becomes_flat_and_light_while_the_subject_stays(name: str) -> None:
    before = opened(photo(name).read())
    after = opened(edit("background-removal", photo(name).read()).data)
    width, height = after.size
    corners = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)]
    assert {after.getpixel(corner) for corner in corners} == {(247, 247, 245)}
    kept = ImageChops.difference(before, after).convert("L").point(lambda d: 255 if d < 3 else 0)
    assert ImageStat.Stat(kept).mean[0] / 255 > 0.03


def test_upscale_is_fourfold_for_a_small_picture_and_capped_for_a_large_one() -> None:
    small = edit("upscale-4x", picture(120, 80))
    large = edit("upscale-4x", photo("pendant-lamp").read())
    assert (small.width, small.height) == (480, 320)
    assert max(large.width, large.height) == MAX_SIDE


def test_ghost_mannequin_is_square() -> None:
    edited = edit("ghost-mannequin", photo("skipping-rope").read())
    assert edited.width == edited.height


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (3, 5)])
@pytest.mark.parametrize("tool_id", sorted(TOOL_IDS))
def test_odd_sizes_are_no_trouble(tool_id: str, size: tuple[int, int]) -> None:
    assert edit(tool_id, picture(*size)).data


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>no picture</html>", small_photo()[:400], b"\xff\xd8\xff", picture(9_000, 5_000)],
    ids=["empty", "page", "cut off", "header only", "too many pixels"],
)
def test_what_is_no_usable_picture_is_an_edit_error(data: bytes) -> None:
    with pytest.raises(EditError):
        edit("image-enhancement", data)


def test_there_are_twelve_photographs_with_different_titles() -> None:
    assert len(PHOTOS) == len({shot.title for shot in PHOTOS}) == 12
    on_disk = {path.stem for path in PHOTOS[0].path.parent.glob("*.jpg")}
    assert {shot.name for shot in PHOTOS} == on_disk


@pytest.mark.parametrize("shot", PHOTOS, ids=lambda shot: shot.name)
def test_photograph_is_a_small_jpeg_with_a_named_source_and_a_known_tool(shot: Photo) -> None:
    data = shot.read()
    assert data.startswith(b"\xff\xd8\xff")
    assert len(data) <= 120_000
    assert min(opened(data).size) >= 600
    assert f"| {shot.path.name} |" in SOURCES
    assert shot.tool_id in TOOLS


def test_photographs_together_stay_small() -> None:
    assert sum(len(shot.read()) for shot in PHOTOS) <= 1_200_000


def test_unknown_photograph_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        photo("no-such-photo")
