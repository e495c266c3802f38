"""Messages to the user: short, on one line, and of characters that can be printed."""

from __future__ import annotations

import re
import sys

LONG_WORD, OF_WORD = 200, 120  # characters: what is shortened, and to how many
LONGEST = 500  # of a message


def say(message: str) -> None:
    """A message on standard error, at once."""
    print(plain(message), file=sys.stderr, flush=True)


def plain(message: str) -> str:
    r"""The message, with the middle of what is long left out.

    Characters that Python does not print (controls, uncommon spaces), and bytes of a name that are
    not UTF-8, are written as escapes.

    Examples
    --------
    >>> print(plain("caf\udce9\x1b[31m"))
    caf\xe9\x1b[31m
    >>> len(plain("no file " + "a" * 1000))
    128
    """
    message = re.sub(r"\\udc([89a-f][0-9a-f])", r"\\x\1", message)  # bytes, as repr writes them
    message = re.sub(rf"\S{{{LONG_WORD},}}", lambda word: _shortened(word[0], OF_WORD), message)
    return "".join(
        each if each.isprintable() else _escape(each) for each in _shortened(message, LONGEST)
    )


def _shortened(text: str, most: int) -> str:
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[: most - 3 - half]}...{text[-half:]}"


def _escape(character: str) -> str:
    code = ord(character)
    byte = 0xDC80 <= code <= 0xDCFF  # as Python keeps those that are not UTF-8
    return f"\\x{code - 0xDC00:02x}" if byte else character.encode("unicode_escape").decode()
