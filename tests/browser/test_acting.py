"""Doing something: with one job, with many, and ordering new ones."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Request, Route, expect

from tests.browser.reader import Reader
from tests.browser.store import Store

pytestmark = pytest.mark.slow

# ---- ordering -----------------------------------------------------------------------------------


@pytest.mark.feature("ordering on the page")
def test_a_batch_is_ordered_after_its_price_and_watched_until_it_is_done(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    store.install()
    # The provider's tools are answered as 503 until it has been asked for the first time.
    reader = new_reader(expects=("503",)).sign_in(store)
    page = reader.page
    page.get_by_role("main").get_by_role("button", name="New job").first.click()
    dialog = page.get_by_role("dialog", name="New job")
    by_address = dialog.get_by_role("button", name="By address")
    text = dialog.get_by_label("Addresses of images")
    expect(by_address.or_(text).first).to_be_visible()
    if by_address.count():
        by_address.click()
    photos = ("cactus-terracotta-pot", "painted-stool", "pendant-lamp")
    text.fill("\n".join(store.photo_url(name) for name in photos))
    expect(dialog.locator(".foot").get_by_role("status")).to_have_text("3 images")
    dialog.get_by_role("button", name="Next").click()
    choose_tool(dialog, "image-enhancement")
    dialog.get_by_label("Name of the batch").fill("Autumn")
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.get_by_text("Price", exact=True)).to_be_visible()
    dialog.get_by_role("button", name="Order 3 images").click()
    expect(dialog).to_have_count(0)
    work = page.get_by_role("region", name="Autumn")
    expect(work).to_contain_text("3 of 3 done, 0 failed")
    expect(page.locator(".job").filter(has_text="Image ready")).to_have_count(3)
    (batch,) = store.call("GET", "/api/batches")["batches"]
    assert (batch["name"], batch["completedJobs"]) == ("Autumn", 3)
    work.get_by_role("link", name="See its jobs").click()
    expect(page.locator("#chips")).to_contain_text(batch["id"])
    expect(page.locator(".job")).to_have_count(3)
    page.get_by_role("link", name="Batches").click()
    card = page.get_by_role("listitem").filter(has_text="Autumn")
    expect(card).to_contain_text("3 images")
    expect(card).to_contain_text("3 done")


def choose_tool(dialog: Locator, tool_id: str) -> None:
    offered = dialog.locator(f'input[name=choice][value="tool {tool_id}"]')
    typed = dialog.get_by_label("Enter the tool’s id").or_(dialog.get_by_label("Tool", exact=True))
    expect(offered.or_(typed).first).to_be_visible()
    if offered.count():
        offered.check()
    else:
        typed.fill(tool_id)


def test_one_image_is_one_job_and_starts_when_it_is_told_to(reader: Reader, store: Store) -> None:
    store.install()
    reader.sign_in(store)
    page = reader.page
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="New job")
    by_address = dialog.get_by_role("button", name="By address")
    text = dialog.get_by_label("Addresses of images")
    expect(by_address.or_(text).first).to_be_visible()
    if by_address.count():
        by_address.click()
    text.fill(store.photo_url("road-bicycle"))
    dialog.get_by_role("button", name="Next").click()
    choose_tool(dialog, "upscale-4x")
    dialog.get_by_label("Priority").select_option("high")
    dialog.get_by_label("When").fill("2030-05-01T09:30")
    dialog.get_by_role("button", name="Next").click()
    expect(dialog).to_contain_text("May 1, 2030, 9:30 AM")
    dialog.get_by_role("button", name="Order 1 image").click()
    expect(page.locator(".job").filter(has_text="Starts May 1, 2030")).to_be_visible()
    (job,) = store.call("GET", "/api/jobs")["jobs"]
    assert job["scheduledAt"] == "2030-05-01T07:30:00.000Z"  # Berlin is two hours ahead in May
    assert (job["priority"], job["toolId"]) == ("high", "upscale-4x")


def test_parameters_are_typed_and_ordered_as_they_are(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    reader = new_reader(expects=("409",)).sign_in(store)
    page = reader.page
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="New job")
    # Not installed: there is no catalogue, but any address will do.
    dialog.get_by_label("Addresses of images").fill(f"nonsense {store.photo_url('road-bicycle')}")
    expect(dialog).to_contain_text("1 line is left out")
    page.mouse.click(5, 5)  # beside it: what is chosen stays
    dialog.get_by_role("button", name="Next").click()
    choose_tool(dialog, "upscale-4x")
    dialog.get_by_text("Parameters (JSON)").click()
    dialog.get_by_role("textbox", name="Parameters").click()
    page.keyboard.type('{"seed": 9007199254740993')
    dialog.get_by_role("button", name="Next").click()
    dialog.get_by_role("button", name="Order 1 image").click()
    expect(page.locator("#toasts")).to_contain_text("not valid JSON")
    dialog.get_by_role("button", name="Back").click()
    dialog.get_by_text("Parameters (JSON)").click()
    dialog.get_by_role("textbox", name="Parameters").press("End")
    page.keyboard.type("}")
    dialog.get_by_role("button", name="Next").click()
    dialog.get_by_role("button", name="Order 1 image").dblclick()
    expect(dialog).to_have_count(0)
    expect(reader.job("road-bicycle.jpg")).to_be_visible()
    (job,) = jobs_of(store)
    assert job["parameters"] == {"seed": "9007199254740993"}


def test_without_the_catalogue_images_are_ordered_by_their_address(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    store.install()
    reader = new_reader(expects=("503",)).sign_in(store)
    away = {"success": False, "error": "Shopify does not answer.", "code": "unavailable"}
    reader.page.route("**/api/products**", lambda route: route.fulfill(status=503, json=away))
    reader.page.keyboard.press("n")
    dialog = reader.page.get_by_role("dialog", name="New job")
    expect(dialog).to_contain_text("Shopify does not answer.")
    expect(dialog.get_by_label("Addresses of images")).to_be_visible()
    reader.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    reader.page.route("**/api/jobs/stats**", lambda route: route.fulfill(status=503, json=away))
    reader.page.keyboard.press("n")
    expect(reader.page.locator("#toasts")).to_contain_text("does not answer")
    expect(dialog).to_have_count(0)  # rather than waiting for ever


def test_an_order_without_an_answer_is_not_made_twice(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    reader = new_reader(expects=("ERR_", "409", "422")).sign_in(store)
    page = reader.page
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="New job")
    dialog.get_by_label("Addresses of images").fill(store.photo_url("road-bicycle"))
    dialog.get_by_role("button", name="Next").click()
    choose_tool(dialog, "upscale-4x")
    dialog.get_by_role("button", name="Next").click()
    order = dialog.get_by_role("button", name="Order 1 image")

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/api/jobs", lose_the_answer, times=1)
    order.click()
    expect(page.locator("#toasts")).to_contain_text("does not answer")
    dialog.get_by_role("button", name="Back").click()
    dialog.get_by_label("Priority").select_option("high")
    dialog.get_by_role("button", name="Next").click()
    order.click()
    expect(page.locator("#toasts")).to_contain_text("may have gone through")
    assert len(jobs_of(store)) == 1


# ---- one job ------------------------------------------------------------------------------------


@pytest.mark.feature("acting on the page")
def test_an_image_is_sent_to_its_product_once_and_taken_off_again(
    reader: Reader, store: Store
) -> None:
    store.install()
    product = store.product("leather-sofa")
    job = store.create_image("leather-sofa", productId=product["id"])
    store.done(job["id"])
    reader.sign_in(store)
    card = reader.job(product["title"])
    card.get_by_role("button", name="Send to store").click()
    expect(card.get_by_text("On the product")).to_be_visible()
    pushed = store.job(job["id"])
    assert [media["id"] for media in store.media_of(product["id"])][-1] == pushed["shopifyMediaId"]
    assert len(store.media_of(product["id"])) == 2
    card.get_by_role("button", name="More for").click()
    reader.page.get_by_role("menuitem", name="Remove from product").click()
    expect(card.get_by_text("Not in your store yet")).to_be_visible()
    assert len(store.media_of(product["id"])) == 1


def test_a_result_is_saved_under_its_name(reader: Reader, store: Store) -> None:
    job = store.create_image("cactus-terracotta-pot")
    store.done(job["id"])
    reader.sign_in(store)
    with reader.page.expect_download() as download:
        reader.job("Cactus").get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == f"{job['id']}-0.png"
    saved = Path(download.value.path()).read_bytes()
    assert saved.startswith(b"\x89PNG")
    assert len(saved) == store.job(job["id"])["outputs"][0]["bytes"]


def test_cancelling_says_that_it_may_still_be_charged(
    reader: Reader, store: Store, pikcel: Callable[..., None]
) -> None:
    pikcel(rules=[{"match": {"url_contains": "/hanging-ivy"}, "faults": {"stuck": True}}])
    job = store.create_image("hanging-ivy")
    store.wait_for(job["id"], lambda job: job["status"] == "processing", "the start")
    reader.sign_in(store)
    reader.job("Hanging Ivy").get_by_role("button", name="Cancel").click()
    expect(reader.page.locator("#toasts")).to_contain_text("charge for it")
    expect(reader.job("Hanging Ivy").get_by_text("Cancelled")).to_be_visible()


def test_deleting_asks_first_and_then_deletes(reader: Reader, store: Store) -> None:
    job = store.create_work("Old task")
    store.report(job["id"], status="completed")
    reader.sign_in(store)
    page = reader.page
    for answer in ("Cancel", "Delete"):
        reader.job("Old task").get_by_role("button", name="More for").click()
        page.get_by_role("menuitem", name="Delete").click()
        dialog = page.get_by_role("dialog", name="Delete Old task?")
        expect(dialog).to_contain_text("cannot be undone")
        dialog.get_by_role("button", name=answer).click()
        expect(dialog).to_have_count(0)
        expect(reader.job("Old task")).to_have_count(1 if answer == "Cancel" else 0)
    assert store.call("GET", "/api/jobs")["jobs"] == []


@pytest.mark.feature("acting on the page")
def test_a_retry_that_costs_says_what_before_it_is_ordered(
    reader: Reader, store: Store, pikcel: Callable[..., None]
) -> None:
    fault = {"match": {"url_contains": "/orchid-pot"}, "times": 1, "faults": {"fail": {}}}
    pikcel(rules=[fault])
    job = store.create_image("orchid-pot", costMicros=250_000)
    free = store.create_work("For free")
    store.report(free["id"], status="failed", error="x")
    store.wait_for(job["id"], lambda job: job["status"] == "failed", "the failure")
    reader.sign_in(store)
    page = reader.page
    card = reader.job("Potted Orchid, Two Stems")
    changes: list[Request] = reader.heard("request")

    def orders() -> list[Any]:
        sent = [each.post_data or "" for each in changes if each.url.endswith("/api/jobs/retry")]
        asked = [json.loads(each) for each in sent]
        return [each for each in asked if "dryRun" not in each]

    button = card.get_by_role("button", name="Retry")
    button.focus()
    page.keyboard.down("Enter")
    dialog = page.get_by_role("dialog", name="Retry Potted Orchid, Two Stems?")
    expect(dialog).to_contain_text("Price:")
    expect(dialog).to_contain_text("$0.25")
    expect(dialog.get_by_role("button", name="Retry")).to_be_focused()
    page.keyboard.down("Enter")  # still held: that orders nothing
    page.keyboard.up("Enter")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(button).to_be_focused()
    assert orders() == []
    card.focus()
    page.keyboard.press("r")
    expect(dialog.get_by_role("button", name="Retry")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(page.locator("#toasts")).to_contain_text("is tried again")
    assert orders() == [{"jobId": job["id"]}]
    expect(card).to_be_focused()
    # What costs nothing is done at once.
    reader.job("For free").get_by_role("button", name="Retry").click()
    expect(reader.job("For free").get_by_text("Waiting")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert [each["jobId"] for each in orders()] == [job["id"], free["id"]]


def test_the_menu_is_walked_with_the_keyboard_and_gives_the_focus_back(
    reader: Reader, store: Store
) -> None:
    store.create_work("Task")
    reader.sign_in(store)
    button = reader.job("Task").get_by_role("button", name="More for")
    button.focus()
    reader.page.keyboard.press("Enter")
    items = reader.page.get_by_role("menuitem")
    expect(items.first).to_be_focused()
    reader.page.keyboard.press("ArrowUp")
    expect(items.last).to_be_focused()
    reader.page.keyboard.press("Escape")
    expect(reader.page.get_by_role("menu")).to_have_count(0)
    expect(button).to_be_focused()


def test_after_a_deletion_the_keyboard_is_at_the_next_job(reader: Reader, store: Store) -> None:
    for number in range(3):
        store.report(store.create_work(f"Old {number}")["id"], status="completed")
    reader.sign_in(store)
    page = reader.page
    expect(page.locator(".job")).to_have_count(3)
    reader.job("Old 1").get_by_role("button", name="More for").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("menuitem", name="Delete")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Delete").press("Enter")
    expect(reader.job("Old 1")).to_have_count(0)
    expect(reader.job("Old 0")).to_be_focused()


# ---- many jobs ----------------------------------------------------------------------------------


@pytest.mark.feature("acting on the page")
def test_a_bulk_retry_says_beforehand_what_it_does_and_then_shows_its_progress(
    reader: Reader, store: Store
) -> None:
    for number in range(3):
        job = store.create_work(f"Broken {number}")
        store.report(job["id"], status="failed", error="x")
    done = store.create_work("Fine")
    store.report(done["id"], status="completed")
    reader.sign_in(store)
    page = reader.page
    expect(page.locator(".job")).to_have_count(4)
    for card in page.locator(".job").all():
        card.hover()
        card.locator("label.pick").click()
    selection = page.get_by_role("region", name="Selected jobs")
    expect(selection).to_contain_text("4 selected")
    changes: list[Request] = reader.heard("request")
    selection.get_by_role("button", name="Retry").click()
    dialog = page.get_by_role("dialog", name="Retry these jobs?")
    expect(dialog).to_contain_text("3 jobs will be retried. Of 4 in all.")
    expect(dialog).to_contain_text("1 neither failed nor cancelled")
    expect(dialog).to_contain_text("Price:")
    assert all(store.job(job["id"])["attempt"] == 1 for job in jobs_of(store))
    dialog.get_by_role("button", name="Retry 3 jobs").click()
    work = page.get_by_role("region", name="Retrying")
    expect(work).to_contain_text("3 done, 1 left out")
    expect(work).to_contain_text("1 neither failed nor cancelled")
    expect(page.locator(".job").filter(has_text="Waiting")).to_have_count(3)
    posts = [each for each in changes if each.method == "POST"]
    assert [bool(each.headers.get("idempotency-key")) for each in posts] == [False, True]
    page.reload()  # what was begun is still there, and nothing is begun again
    expect(work).to_contain_text("3 done, 1 left out")
    work.get_by_role("button", name="Put away").click()
    expect(work).to_have_count(0)


def jobs_of(store: Store) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = store.call("GET", "/api/jobs")["jobs"]
    return found


def test_what_is_selected_stays_so_when_the_list_is_read_anew(reader: Reader, store: Store) -> None:
    store.fill(60)
    gone, kept = store.create_work("Gone"), store.create_work("Kept")
    reader.sign_in(store)
    page = reader.page
    expect(page.locator("#pager")).to_contain_text("of 62")
    reader.until(
        "(scrollTo(0, document.documentElement.scrollHeight),"
        " [...document.querySelectorAll('.job')].at(-1)?.textContent.includes('Task 0'))"
    )
    reader.job("Task 0").locator("label.pick").click()
    page.evaluate("scrollTo(0, 0)")
    for title in ("Gone", "Kept"):
        reader.job(title).hover()
        reader.job(title).locator("label.pick").click()
    selection = page.get_by_role("region", name="Selected jobs")
    expect(selection).to_contain_text("3 selected")
    # In another view nothing is selected; back in the list all of it is.
    page.get_by_role("link", name="Batches").click()
    expect(page.get_by_role("heading", name="No batches yet")).to_be_visible()
    expect(selection).to_be_hidden()
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(selection).to_contain_text("3 selected")
    # So much came that the list begins anew, and one of them has gone.
    reader.job("Kept").hover()
    for number in range(24):
        store.create_work(f"New {number}")
    store.call("POST", "/api/jobs/cancel", {"jobId": gone["id"]})
    store.call("DELETE", f"/api/jobs/{gone['id']}")
    page.get_by_role("button", name="Many new jobs").click()
    expect(reader.job("New 23")).to_be_visible()
    expect(selection).to_contain_text("2 selected")
    reader.until("(scrollBy(0, 300), document.querySelector('#list').innerText.includes('Kept'))")
    expect(reader.job("Kept").get_by_role("checkbox")).to_be_checked()
    selection.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog", name="Cancel these jobs?")
    expect(dialog).to_contain_text("1 job will be cancelled. Of 2 in all.")
    page.keyboard.press("Escape")
    # Another filter is another question.
    page.get_by_role("group", name="Status").get_by_role("button", name="Waiting").click()
    expect(selection).to_be_hidden()
    assert store.job(kept["id"])["status"] == "pending"


def test_a_whole_filter_is_acted_on_loaded_or_not(reader: Reader, store: Store) -> None:
    store.fill(130)
    reader.sign_in(store)
    page = reader.page
    expect(page.locator("#pager")).to_contain_text("of 130")
    page.keyboard.press("j")
    page.keyboard.press("x")
    selection = page.get_by_role("region", name="Selected jobs")
    selection.get_by_role("button", name="Select all loaded").click()
    selection.get_by_role("button", name="Select all that match").click()
    expect(selection).to_contain_text("All 130 that match")
    selection.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete these jobs?")
    expect(dialog).to_contain_text("130 jobs will be deleted")
    dialog.get_by_role("button", name="Delete 130 jobs").click()
    expect(page.get_by_role("region", name="Deleting")).to_contain_text("130 done")
    expect(page.get_by_role("heading", name="Your images start here")).to_be_visible()


def test_who_asked_to_be_told_is_told_when_it_is_over(
    new_reader: Callable[..., Reader], store: Store
) -> None:
    job = store.create_work("Broken")
    store.report(job["id"], status="failed", error="x")
    reader = new_reader(permissions=["notifications"])
    reader.page.add_init_script(
        "globalThis.told = [];"
        "class Told { static permission = 'granted';"
        "  constructor(title, { body }) { told.push(`${title}: ${body}`); } }"
        "globalThis.Notification = Told;"
        "document.hasFocus = () => false;"
    )
    reader.sign_in(store)
    expect(reader.job("Broken")).to_be_visible()
    reader.page.keyboard.press("j")
    reader.page.keyboard.press("x")
    selection = reader.page.get_by_role("region", name="Selected jobs")
    selection.get_by_role("button", name="Retry").click()
    reader.page.get_by_role("dialog").get_by_role("button", name="Retry 1 job").click()
    reader.until("told.length === 1")
    assert reader.page.evaluate("told") == ["Retrying: 1 done"]


@pytest.mark.feature("ordering on the page")
def test_an_image_of_a_product_is_chosen_from_the_stores_own_catalogue(
    reader: Reader, store: Store
) -> None:
    store.install()
    product = store.product("road-bicycle")
    store.product("pendant-lamp")
    reader.sign_in(store)
    reader.page.keyboard.press("n")
    dialog = reader.page.get_by_role("dialog", name="New job")
    dialog.get_by_label("Search your products").fill("bicycle")
    expect(dialog.get_by_role("heading", level=3)).to_have_text([product["title"]])
    dialog.get_by_role("checkbox").first.check()
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.get_by_text("2 credits").first).to_be_visible()
    choose_tool(dialog, "upscale-4x")
    dialog.get_by_label("Put the results on their products").check()
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.locator(".bill strong")).to_have_text("2 credits")
    dialog.get_by_role("button", name="Order 1 image").click()
    card = reader.job(product["title"])
    expect(card.get_by_text("On the product")).to_be_visible()
    (job,) = jobs_of(store)
    assert job["productId"] == product["id"]
    assert job["creditsUsed"] == 2
    assert len(store.media_of(product["id"])) == 2


def test_a_template_presets_what_is_ordered(reader: Reader, store: Store) -> None:
    store.install()
    preset = {"name": "White background", "toolId": "background-removal", "priority": "low"}
    store.call("POST", "/api/templates", preset)
    reader.sign_in(store)
    reader.page.keyboard.press("n")
    dialog = reader.page.get_by_role("dialog", name="New job")
    dialog.get_by_role("button", name="By address").click()
    dialog.get_by_label("Addresses of images").fill(store.photo_url("painted-stool"))
    dialog.get_by_role("button", name="Next").click()
    dialog.get_by_role("radio", name="White background").check()
    expect(dialog.get_by_label("Priority")).to_have_value("low")
    dialog.get_by_role("button", name="Next").click()
    dialog.get_by_role("button", name="Order 1 image").click()
    expect(reader.page.locator(".job").filter(has_text="Image ready")).to_be_visible()
    (job,) = jobs_of(store)
    assert (job["toolId"], job["priority"]) == ("background-removal", "low")


# ---- files --------------------------------------------------------------------------------------


def test_the_list_is_saved_as_a_file_for_spreadsheets(reader: Reader, store: Store) -> None:
    store.create_work('=SUM(1) "quoted", with comma')
    store.report(store.create_work("Plain")["id"], status="completed")
    reader.sign_in(store)
    expect(reader.page.locator(".job")).to_have_count(2)
    with reader.page.expect_download() as download:
        reader.page.get_by_role("button", name="Export").click()
    assert download.value.suggested_filename.endswith(".csv")
    # By this mark spreadsheets know that it is UTF-8.
    assert Path(download.value.path()).read_bytes().startswith(b"\xef\xbb\xbf")
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 2
    names = {value for row in rows for value in row.values() if value and "quoted" in value}
    assert names == {'\'=SUM(1) "quoted", with comma'}


def test_a_list_that_nobody_has_counted_is_written_by_a_bulk_job(
    reader: Reader, store: Store
) -> None:
    store.fill(130)
    reader.sign_in(store)
    page = reader.page
    page.get_by_role("group", name="Status").get_by_role("button", name="Done").click()
    expect(page.locator("#pager")).to_contain_text("more to come")
    page.get_by_role("button", name="Export").click()
    work = page.get_by_role("region", name="Export")
    with page.expect_download() as download:
        work.get_by_role("link", name="Download").click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert len(list(csv.DictReader(io.StringIO(text)))) == 130


def test_what_failed_of_a_batch_is_retried_and_all_results_are_saved_as_one_archive(
    reader: Reader, store: Store, pikcel: Callable[..., None]
) -> None:
    fault = {"match": {"url_contains": "/orchid-pot"}, "times": 1, "faults": {"fail": {}}}
    pikcel(rules=[fault])
    images = [{"inputImageUrl": store.photo_url(name)} for name in ("blue-armchair", "orchid-pot")]
    wish = {"name": "Spring", "toolId": "image-enhancement", "images": images}
    store.call("POST", "/api/batches", wish)
    reader.sign_in(store)
    page = reader.page
    page.get_by_role("link", name="Batches").click()
    card = page.get_by_role("listitem").filter(has_text="Spring")
    card.get_by_role("button", name="Retry 1 failed job").click()
    question = page.get_by_role("dialog", name="Retry these jobs?")
    expect(question).to_contain_text("1 job will be retried.")
    expect(question).to_contain_text("Price:")
    question.get_by_role("button", name="Retry 1 job").click()
    expect(page.get_by_role("region", name="Spring: retrying")).to_contain_text("1 done")
    expect(card).to_contain_text("2 done")
    card.get_by_role("button", name="Download all").click()
    work = page.get_by_role("region", name="Spring: packing")
    with page.expect_download() as download:
        work.get_by_role("link", name="Download").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert len([name for name in archive.namelist() if name.endswith((".png", ".jpg"))]) == 2
