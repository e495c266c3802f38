"""JSON and TOML documents, checked for size and depth before they are parsed.

The parsers recurse into every level, and `tomllib` takes memory by the square of a key's parts.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

MAX_BYTES = {".json": 8 << 20, ".toml": 1 << 16}  # of a document, by its form
MAX_DEPTH = 32  # levels of brackets, and parts of a dotted key
_TOKENS = {  # strings and comments, whose contents do not count, and what does
    ".json": re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL),
    ".toml": re.compile(
        r'"""(?:[^\\]|\\.)*?"{3,5}|' + r"'''.*?'{3,5}|"
        r'"(?:[^"\\\n]|\\.)*"?|' + r"'[^'\n]*'?|#[^\n]*|[\[\]{}.=,\n]",
        re.DOTALL,
    ),
}


def read(path: Path, form: str = ".json") -> Any:
    """The contents of a file of the form ".json" or ".toml".

    Raises OSError if it cannot be read, and ValueError as `parse`, or if it is not UTF-8.
    """
    with open(path, "rb") as file:
        return parse(file.read(MAX_BYTES[form] + 1), form)


def parse(document: str | bytes, form: str) -> Any:
    """The contents of a document, text or UTF-8, of the form ".json" or ".toml".

    Raises ValueError if it is none, longer than `MAX_BYTES` or deeper than `MAX_DEPTH`.
    """
    if len(document) > MAX_BYTES[form]:
        limit = f"{MAX_BYTES[form]:,} bytes"
        raise ValueError(f"is longer than {limit}; a {form[1:].upper()} file here has at most that")
    text = document if isinstance(document, str) else document.decode("utf-8-sig")
    _check_depth(text, form)
    if form == ".json":
        return json.loads(text)
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def _check_depth(text: str, form: str) -> None:
    depth = parts = 0
    for match in _TOKENS[form].finditer(text):
        token = match[0]
        depth += (token in ("[", "{")) - (token in ("]", "}"))
        parts = parts + 1 if token == "." else parts if token[0] in "\"'" else 0
        if max(depth, parts) > MAX_DEPTH:
            line = text.count("\n", 0, match.start()) + 1
            raise ValueError(
                f"is nested more than {MAX_DEPTH} deep in line {line}; write fewer levels"
            )
