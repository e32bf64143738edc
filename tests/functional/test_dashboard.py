"""functions/dashboard, from API Gateway's event to its answer."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from functions.dashboard.app import handler
from functions.dashboard.pages import (
    ENTRY,
    FIRST,
    FOLDER,
    PAGES,
    Pages,
    compress,
    join,
    modules_of,
    read_sources,
)

EVENTS = Path(__file__).parents[2] / "events"
CLIENT_ID = "0123456789abcdef0123456789abcdef"
SHOP = "a-shop.myshopify.com"


@pytest.fixture(autouse=True)
def client_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPIFY_API_KEY", CLIENT_ID)


def event(name: str = "index", **headers: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / f"dashboard_{name}.json").read_text())
    found["headers"] |= headers
    return found


def file_event(name: str, version: str = PAGES.version, **headers: str) -> dict[str, Any]:
    asked = event("file", **headers)
    asked["pathParameters"] = {"version": version, "file": name}
    return asked


def body(answer: dict[str, Any]) -> str:
    content = base64.b64decode(answer["body"])
    is_gzipped = answer["headers"].get("content-encoding") == "gzip"
    return (gzip.decompress(content) if is_gzipped else content).decode()


def policy(answer: dict[str, Any]) -> dict[str, str]:
    text = answer["headers"]["content-security-policy"]
    return dict(directive.split(" ", 1) for directive in text.split("; "))


class Tags(HTMLParser):
    """Collects start tags, and the text inside of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.is_in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.is_in_script = tag == "script"
        if self.is_in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.is_in_script = False

    def handle_data(self, data: str) -> None:
        if self.is_in_script:
            self.scripts[-1] += data


# ---- the page ----------------------------------------------------------------------------


def test_the_page_is_sent_compressed_and_is_asked_for_again_each_time() -> None:
    answer = handler(event(), None)
    assert answer["statusCode"] == 200
    assert answer["headers"]["content-type"] == "text/html; charset=utf-8"
    assert answer["headers"]["content-encoding"] == "gzip"
    assert answer["headers"]["cache-control"] == "no-cache"
    assert body(answer).startswith("<!doctype html>")


@pytest.mark.parametrize("accepted", ["identity", "", "br", "gzip;q=0, br", "gzip; q=0.0"])
def test_who_takes_no_gzip_gets_none(accepted: str) -> None:
    answer = handler(event(**{"accept-encoding": accepted}), None)
    assert "content-encoding" not in answer["headers"]
    assert base64.b64decode(answer["body"]).startswith(b"<!doctype html>")


def test_who_has_the_page_already_gets_no_second_one() -> None:
    tag = handler(event(), None)["headers"]["etag"]
    answer = handler(event(**{"if-none-match": f'W/{tag}, "other"'}), None)
    assert (answer["statusCode"], answer["body"]) == (304, "")
    assert answer["headers"]["etag"] == tag


def test_the_two_forms_of_the_page_have_different_tags() -> None:
    plain = handler(event(**{"accept-encoding": ""}), None)["headers"]["etag"]
    assert handler(event(**{"if-none-match": plain}), None)["statusCode"] == 200


def test_the_first_view_takes_three_requests_and_60_kilobytes() -> None:
    index = handler(event(), None)
    wanted = [
        str(attributes.get("src") or attributes.get("href"))
        for tag, attributes in Tags(body(index)).tags
        if (tag == "script" and "src" in attributes)
        or (tag == "link" and attributes.get("rel") in ("stylesheet", "modulepreload"))
    ]
    assert [path.rpartition("/")[2] for path in wanted] == ["first.css", FIRST]
    answers = [index] + [handler(file_event(path.rpartition("/")[2]), None) for path in wanted]
    assert sum(len(base64.b64decode(answer["body"])) for answer in answers) <= 60_000


def test_every_text_that_the_page_names_exists() -> None:
    assert "{{" not in re.sub(r"<script.*?</script>", "", body(handler(event(), None)), flags=re.S)


def test_an_unknown_language_is_english() -> None:
    asked = event()
    asked["rawQueryString"] = "locale=xx-YY"
    assert body(handler(asked, None)) == body(handler(event(), None))


def test_no_text_can_end_the_element_that_it_lies_in() -> None:
    texts = json.loads(gzip.decompress(read_sources(FOLDER)["en.json"]))
    texts["title"] = "</script><script>alert(1)</script>"
    sources = read_sources(FOLDER) | {"en.json": compress(json.dumps(texts).encode())}
    index = gzip.decompress(Pages(sources).index("en", "").gzipped).decode()
    tags = Tags(index)
    assert len(tags.scripts) == 3  # import map, module, texts
    assert json.loads(tags.scripts[-1]) == texts
    assert "alert(1)</script>" not in index


# ---- what keeps the page to itself ----------------------------------------------------------


def test_nothing_may_be_loaded_but_the_pages_own_files_and_pictures() -> None:
    found = policy(handler(event(), None))
    assert found["default-src"] == "'none'"
    assert found["style-src"] == found["connect-src"] == "'self'"
    assert found["img-src"] == "'self' data: https:"
    assert found["base-uri"] == found["form-action"] == found["frame-ancestors"] == "'none'"
    assert "unsafe" not in str(found)


def test_no_string_can_become_markup_or_script() -> None:
    found = policy(handler(event(), None))
    assert (found["require-trusted-types-for"], found["trusted-types"]) == ("'script'", "'none'")


def test_the_one_script_in_the_page_is_known_by_its_digest() -> None:
    answer = handler(event(), None)
    import_map, _module, texts = Tags(body(answer)).scripts
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    assert policy(answer)["script-src"] == f"'self' 'sha256-{digest}'"
    assert json.loads(import_map).keys() == {"imports"}
    assert json.loads(texts)["title"]  # data, which no policy is asked about


def test_pictures_may_come_by_plain_http_where_the_page_does() -> None:
    laptop = event(**{"x-forwarded-proto": "http"})
    assert policy(handler(laptop, None))["img-src"] == "'self' data: https: http:"
    assert "strict-transport-security" not in handler(laptop, None)["headers"]
    assert "strict-transport-security" in handler(event(), None)["headers"]


def test_the_page_says_nothing_of_itself_to_others() -> None:
    headers = handler(event(), None)["headers"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"


# ---- in Shopify's admin ------------------------------------------------------------------------


def test_only_its_own_store_and_the_admin_may_frame_the_page() -> None:
    answer = handler(event("embedded"), None)
    assert policy(answer)["frame-ancestors"] == f"https://{SHOP} https://admin.shopify.com"
    assert "x-frame-options" not in answer["headers"]


def test_the_admins_script_comes_first_and_knows_the_app() -> None:
    answer = handler(event("embedded"), None)
    tags = Tags(body(answer))
    scripts = [attributes.get("src") for tag, attributes in tags.tags if tag == "script"]
    assert scripts[0] == "https://cdn.shopify.com/shopifycloud/app-bridge.js"
    assert "https://cdn.shopify.com/shopifycloud/app-bridge.js" in policy(answer)["script-src"]
    assert ("meta", {"name": "shopify-api-key", "content": CLIENT_ID}) in tags.tags


def test_nobody_elses_script_is_on_the_page_outside_of_the_admin() -> None:
    answer = handler(event(), None)
    assert "shopify" not in policy(answer)["script-src"]
    assert "app-bridge" not in body(answer)


@pytest.mark.parametrize(
    "query",
    [
        "shop=evil.example&host=x",
        "shop=a-shop.myshopify.com.evil.example&host=x",
        "shop=a-shop.myshopify.com%20https://evil.example&host=x",
        "shop=a-shop.myshopify.com;script-src%20*&host=x",
        "shop=a-shop.myshopify.com",
        "host=x",
        "shop=%ff%fe&host=%00",
        "&&==&shop",
    ],
)
def test_whoever_is_no_store_may_not_frame_the_page(query: str) -> None:
    asked = event("embedded")
    asked["rawQueryString"] = query
    answer = handler(asked, None)
    assert answer["statusCode"] == 200
    assert policy(answer)["frame-ancestors"] == "'none'"
    assert "evil" not in json.dumps(answer["headers"])


def test_the_token_in_the_address_is_neither_logged_nor_sent_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answer = handler(event("embedded"), None)
    assert "aaa.bbb.ccc" not in body(answer) + json.dumps(answer["headers"])
    assert "aaa.bbb.ccc" not in capsys.readouterr().out


# ---- its files ----------------------------------------------------------------------------------


def test_a_file_of_this_version_is_kept_for_good() -> None:
    answer = handler(file_event("first.css"), None)
    assert answer["headers"]["content-type"] == "text/css; charset=utf-8"
    assert answer["headers"]["cache-control"] == "public, max-age=31536000, immutable"


def test_modules_are_javascript() -> None:
    answer = handler(file_event(FIRST), None)
    assert answer["headers"]["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("0123456789ab", "first.css"),  # an older page must not get newer modules
        (PAGES.version, "nothing.js"),
        (PAGES.version, "en.json"),
        (PAGES.version, "index.html"),
        (PAGES.version, "../app.py"),
        (PAGES.version, ""),
    ],
)
def test_what_is_no_file_of_this_version_is_not_found(version: str, name: str) -> None:
    answer = handler(file_event(name, version), None)
    assert answer["statusCode"] == 404
    assert json.loads(answer["body"])["code"] == "not_found"


def test_the_version_changes_with_any_file() -> None:
    sources = read_sources(FOLDER)
    changed = sources | {"first.css": compress(b"body {}")}
    assert Pages(changed).version != Pages(sources).version == PAGES.version


def test_a_package_of_compressed_files_serves_the_same(tmp_path: Path) -> None:
    for name, content in read_sources(FOLDER).items():
        (tmp_path / f"{name}.gz").write_bytes(content)
    packed = Pages(read_sources(tmp_path))
    assert packed.version == PAGES.version
    assert packed.files == PAGES.files


# ---- its modules ------------------------------------------------------------------------------

MODULES = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.js"))}
FIRST_MODULES = modules_of(read_sources(FOLDER), ENTRY)
_DECLARED = re.compile(r"^(?:export )?(?:async )?(?:const|let|function|class) ([\w$]+)", re.M)
_EXPORTED = re.compile(r"^export (?:async )?(?:const|let|function|class) ([\w$]+)", re.M)
_IMPORTS = re.compile(r'^import (?:\{([^}]*)\} from )?"\./([\w-]+\.js)";$', re.M)


_COMMENT = re.compile(r"^ *//.*$|/\*\*[\s\S]*?\*/", re.M)


def _calls(name: str, code: str, after: str) -> bool:
    """Tell whether code uses a name: not as a property, not in a text, not declared in it."""
    named = re.escape(name)
    local = rf"(?:const|let|get|static|async) #?{named}\b|^ +{named}\([^()]*\) \{{$"
    is_local = re.search(local, code, re.M)
    used = rf"(?<![\w$\"'`#-])(?<!(?<!\.\.)\.){named}(?![\w$]){after}"
    return not (after and is_local) and bool(re.search(used, code))


def test_modules_are_joined_each_after_what_it_needs_and_never_in_a_circle() -> None:
    modules = {
        "a.js": b'import "./b.js";\nimport {\n  c,\n} from "./c.js";\nc();\n',
        "b.js": b'import { c } from "./c.js";\nexport const b = c;\n',
        "c.js": b"export const c = () => 1;\n",
    }
    found = modules_of({name: compress(text) for name, text in modules.items()}, "a.js")
    assert list(found) == ["c.js", "b.js", "a.js"]
    joined = join(found)
    assert "import" not in joined
    assert joined.index("const c") < joined.index("const b") < joined.index("c();")
    modules["c.js"] = b'import { b } from "./b.js";\n'
    with pytest.raises(ValueError, match="imports itself"):
        modules_of({name: compress(text) for name, text in modules.items()}, "a.js")


def test_no_two_modules_of_the_first_view_declare_the_same_name() -> None:
    # They are sent as one file and share its scope.
    names = [name for text in FIRST_MODULES.values() for name in _DECLARED.findall(text)]
    assert [name for name in names if names.count(name) > 1] == []


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_what_there_is_and_all_that_it_uses(name: str) -> None:
    # The shared scope would hide a missing import until a module leaves the first view.
    text = MODULES[name]
    imported: set[str] = set()
    for names, source in _IMPORTS.findall(text):
        wanted = {each.strip() for each in names.split(",") if each.strip()}
        assert wanted <= set(_EXPORTED.findall(MODULES[source])), source
        imported |= wanted
    code = _COMMENT.sub("", _IMPORTS.sub("", text))
    assert {each for each in imported if not _calls(each, code, r"")} == set()
    foreign = {
        each
        for source, other in MODULES.items()
        if source != name
        for each in _EXPORTED.findall(other)
    }
    own = set(_DECLARED.findall(text)) | imported
    used = {each for each in foreign - own if _calls(each, code, r"\(")}
    assert used == set()


@pytest.mark.parametrize("name", MODULES)
def test_no_module_makes_markup_of_strings(name: str) -> None:
    # The policy would stop it in the browser; here it is said earlier.
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function"
    assert re.findall(forbidden, MODULES[name]) == []


def test_every_text_that_a_module_names_exists() -> None:
    texts = json.loads((FOLDER / "en.json").read_text())
    missing = set()
    for name, text in MODULES.items():
        for key in re.findall(r'\bt\("([\w.-]+)"', text):
            value: Any = texts
            for part in key.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if value is None:
                missing.add(f"{name}: {key}")
    assert missing == set()
