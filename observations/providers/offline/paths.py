"""Paths as readers want them: from the project's root where they are inside it."""

import posixpath
import re

from observations.providers.offline.wording import shortened

_KINDS = {
    "code": "py pyi js jsx ts tsx mjs cjs go rs java kt kts scala c h cc cpp hpp cs rb php swift m "
    "mm sh bash zsh fish ps1 pl lua r jl ex exs erl hs ml clj dart vue svelte sql proto graphql tf "
    "nix zig asm s v sol sage",
    "prose": "md markdown mdx rst txt adoc org tex",
    "data": "json jsonl yaml yml toml ini cfg conf env properties lock xml csv tsv plist html css "
    "scss less",
}
_KIND_OF = {ext: kind for kind, exts in _KINDS.items() for ext in exts.split()}
_NAMES = {
    "makefile": "code",
    "dockerfile": "code",
    "jenkinsfile": "code",
    "readme": "prose",
    "changelog": "prose",
    "license": "prose",
    "codeowners": "data",
}
# What a reader calls a file of this kind, where its ending does not say so.
_CALLED = {
    "pcap": "network capture",
    "pcapng": "network capture",
    "img": "disk image",
    "iso": "disk image",
    "zip": "archive",
    "gz": "archive",
    "tgz": "archive",
    "ipynb": "notebook",
    "db": "database",
    "sqlite": "database",
    "sqlite3": "database",
    "enc": "encrypted file",
    "pem": "key or certificate",
    "pub": "public key",
    "png": "image",
    "jpg": "image",
    "jpeg": "image",
    "gif": "image",
    "pdf": "PDF document",
    "exe": "program",
    "whl": "wheel",
}
_TEST = re.compile(r"(?:^|/)(?:tests?|specs?|__tests__|testing)/|(?:^|/)(?:test_|conftest)[^/]*$")
_TEST_NAME = re.compile(r"(?:_test|_spec|\.test|\.spec)\.\w+$")
_SCRATCH = re.compile(
    r"(?:^|/)(?:te?mp|scratch|debug|reproduce?|repro|foo|out|output)[\w-]*\.\w+$"
    r"|\.(?:pyc|log|tmp|bak|orig)$|(?:^|/)(?:__pycache__|node_modules|\.?build|dist|tmp)(?:/|$)",
    re.IGNORECASE,
)


def shown(path: str, cwd: str = "") -> str:
    """`path` from `cwd` if it is inside it, else as it is; "" for what can be no path."""
    path = path.strip().removeprefix("file://")
    if not path or "\n" in path or len(path) > 500:
        return ""
    root = cwd.rstrip("/\\")
    if root and path.startswith((root + "/", root + "\\")):
        path = path[len(root) + 1 :]
    return path.removeprefix("./")


def short(path: str, limit: int = 48) -> str:
    """A path for a sentence: whole if it is short, without its root if it has one, or its end."""
    if len(path) <= limit and not path.startswith(("/", "~")):
        return path
    parts = [part for part in path.split("/") if part]
    if path.startswith(("/", "~")) and len(parts) > 1:
        parts = parts[2 if parts[0] in ("home", "Users") and len(parts) > 2 else 1 :]
    tails = ("/".join(parts[-count:]) for count in (len(parts), 2))
    fitting = next((tail for tail in tails if len(tail) <= limit), "")
    return fitting or shortened(parts[-1] if parts else path)


def ending(path: str) -> str:
    """The file's ending in small letters, without the dot."""
    name = posixpath.basename(path).lower()
    return name.rpartition(".")[2] if "." in name.lstrip(".") else ""


def kind(path: str) -> str:
    """One of "code", "prose" and "data", or "" for what the name does not tell."""
    name = posixpath.basename(path).lower()
    if name.startswith(".env"):
        return "data"
    return _KIND_OF.get(ending(path)) or _NAMES.get(name.partition(".")[0], "")


def called(path: str) -> str:
    """What a reader calls such a file ("network capture"), or ""."""
    return _CALLED.get(ending(path), "")


def is_known(path: str) -> bool:
    """Whether the name alone tells that it is a file's."""
    return bool(kind(path) or called(path))


def is_test(path: str) -> bool:
    """Whether the file belongs to a test suite."""
    return bool(_TEST.search(path) or _TEST_NAME.search(path))


def is_scratch(path: str) -> bool:
    """Whether the file looks like something that nobody means to keep."""
    return bool(_SCRATCH.search(path))
