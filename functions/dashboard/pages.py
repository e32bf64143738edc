"""The page's files as they go over the wire: read and compressed once, when Lambda starts us.

They are content and not code: on AWS they come as a layer of their own, compressed already
(deploy/build.py), in a checkout as they are written. There is no other build. Two things are
done on the way, for the first view's sake: the texts are put into the index, and the modules
that the first view imports are sent as one file (`first.js`), so that it takes three requests
and not twenty. Each of them is a plain ES module; the index tells the browser by an import map
that their names mean that file.
"""

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from functions.dashboard.headers import APP_BRIDGE

FALLBACK_LANGUAGE = "en"
# The module that begins everything, and the file in which it is sent with what it imports.
ENTRY, FIRST = "shell.js", "first.js"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_PLACEHOLDER = re.compile(r"\{\{([a-zA-Z_.]+)\}\}")
_IMPORT = re.compile(r'^import (?:\{[^}]*\} from )?"\./([\w-]+\.js)";\n', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file. gzipped: its bytes, compressed."""

    name: str
    media_type: str
    gzipped: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, gzipped: bytes) -> "File":
        """Name a file's media type by its suffix."""
        return cls(name=name, media_type=MEDIA_TYPES[Path(name).suffix], gzipped=gzipped)

    def tag(self, *, is_gzipped: bool) -> str:
        """Return the strong entity tag of one form of the file."""
        digest = hashlib.sha256(self.gzipped).hexdigest()[:20]
        return f'"{digest}-gzip"' if is_gzipped else f'"{digest}"'

    def body(self, *, is_gzipped: bool) -> str:
        """Return the file in base64, as API Gateway wants bytes."""
        content = self.gzipped if is_gzipped else gzip.decompress(self.gzipped)
        return base64.b64encode(content).decode()


class Pages:
    """Everything that there is to serve.

    version: of all files together. files: by name, without the index. script_hash: of the
    one script that lies in the index, for the Content-Security-Policy.
    """

    def __init__(self, sources: Mapping[str, bytes]) -> None:
        """Take the files by name, compressed."""
        digest = hashlib.sha256(b"".join(name.encode() + sources[name] for name in sources))
        self.version = digest.hexdigest()[:12]
        self._sources = sources
        joined = modules_of(sources, ENTRY)
        own = {name: held for name, held in sources.items() if name.endswith((".js", ".css"))}
        sent = {name: held for name, held in own.items() if name not in joined}
        sent[FIRST] = compress(join(joined).encode())
        self.files = {name: File.of(name, held) for name, held in sent.items()}
        folder = f"/page/{self.version}"
        names = {f"{folder}/{name}": f"{folder}/{FIRST}" for name in joined}
        self._import_map = json.dumps({"imports": names}, separators=(",", ":"))
        script = base64.b64encode(hashlib.sha256(self._import_map.encode()).digest()).decode()
        self.script_hash = f"'sha256-{script}'"
        self._indexes: dict[tuple[str, str], File] = {}
        # The most common answer is made now, not in somebody's first request.
        self.index(FALLBACK_LANGUAGE, "")

    def index(self, language: str, shopify_api_key: str) -> File:
        """Return the page in a language, or in English; with a key, for Shopify's admin."""
        known = language if f"{language}.json" in self._sources else FALLBACK_LANGUAGE
        form = (known, shopify_api_key)
        if form not in self._indexes:
            self._indexes[form] = self._fill(*form)
        return self._indexes[form]

    def _fill(self, language: str, shopify_api_key: str) -> File:
        texts = json.loads(gzip.decompress(self._sources[f"{language}.json"]))
        compact = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
        values = {
            "_bridge": _bridge(shopify_api_key),
            "_imports": self._import_map,
            "_language": language,
            # `<` would be able to end the element that the texts are in.
            "_texts": compact.replace("<", "\\u003c"),
            "_version": self.version,
        }

        def value(found: re.Match[str]) -> str:
            name = found[1]
            return values[name] if name in values else html.escape(_text(texts, name))

        index = gzip.decompress(self._sources["index.html"]).decode()
        return File.of("index.html", compress(_PLACEHOLDER.sub(value, index).encode()))


def modules_of(sources: Mapping[str, bytes], entry: str) -> dict[str, str]:
    """Return the text of a module and of all that it imports, each after what it needs itself."""
    found: dict[str, str] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"{name} imports itself by way of {above[-1]}")
        if name not in found:
            text = gzip.decompress(sources[name]).decode()
            for needed in _IMPORT.findall(text):
                visit(needed, (*above, name))
            found[name] = text

    visit(entry, ())
    return found


def join(modules: Mapping[str, str]) -> str:
    """Write modules one after the other: they share a scope, and export what they export."""
    return "\n".join(
        f"// ======== {name}\n{_IMPORT.sub('', text)}" for name, text in modules.items()
    )


def compress(content: bytes) -> bytes:
    """Compress; equal contents are equal bytes."""
    return gzip.compress(content, 9, mtime=0)


def find_folder() -> Path:
    """Return where the files are: beside this module in a checkout, else in a layer."""
    beside = Path(__file__).parent / "jobs_page"
    if beside.is_dir():
        return beside
    layer = find_spec("jobs_page")
    if layer is None or not layer.submodule_search_locations:
        raise FileNotFoundError("The layer with the page's files is missing.")
    return Path(next(iter(layer.submodule_search_locations)))


def read_sources(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder by its name, compressed (if it is not already)."""
    return {
        path.name.removesuffix(".gz"): (
            path.read_bytes() if path.suffix == ".gz" else compress(path.read_bytes())
        )
        for path in sorted(folder.iterdir())
    }


def _bridge(shopify_api_key: str) -> str:
    """Return what Shopify's App Bridge needs in the head, in this order.

    We send the ID token ourselves, so that a pasted key works in the same way.

    Source: Shopify, "App Bridge" and "Config API", read 2026-11-26.
    """
    if not shopify_api_key:
        return ""
    key = html.escape(shopify_api_key)
    return (
        f'<meta name="shopify-api-key" content="{key}">\n'
        '  <meta name="shopify-disabled-features" content="fetch, auto-redirect">\n'
        f'  <script src="{APP_BRIDGE}"></script>'
    )


def _text(texts: Mapping[str, Any], name: str) -> str:
    """Return a text by its dotted name. Raises KeyError."""
    value: Any = texts
    for part in name.split("."):
        value = value[part]
    return str(value)


FOLDER = find_folder()
PAGES = Pages(read_sources(FOLDER))
