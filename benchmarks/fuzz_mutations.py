"""What `python -m benchmarks fuzz` does to whole inputs: damage by chance and by format.

A mutation is a function of a random generator and bytes. `FORMATS` says which of them know a
format; they repair checksums and lengths, so that what they change is looked at.
"""

from __future__ import annotations

import io
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

Mutation = Callable[[random.Random, bytes], bytes]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


EXTREME = (0, 1, 2, 3, 7, 127, 128, 255, 256, 16000, 32000, 32767, 32768, 65535, 65536, 1 << 24,
           (1 << 31) - 1, 1 << 31, (1 << 32) - 1)  # fmt: skip
NUMBERS = (*_words("0 -1 1 2 -0.0 0.5 1e-320 1e308 1e999 -1e308 nan NaN inf -Infinity 65536"),
           *_words("2147483648 18446744073709551616 1_0 0x10 ١٢ 1.5.2 true null [] {} 1:2 50%"),
           "9" * 400, "", '"x"')  # fmt: skip
TARGETS = _words("in.png in.jpg in.mp4 ds maps mine.toml out out.png out.csv")
WORDS = (*_words("x - -- . .. out/ é %s %(x)s * [ missing.png /dev/null /dev/full null true"),
         *TARGETS, "", " ", "\n", "\t", "\u202e", "\udcff", "\ufeff", "\x1b[31m", "a" * 5000,
         "[" * 3000, '{"a":' * 3000, "a." * 1500 + "b")  # fmt: skip
OPTIONS = _words(
    "--json -q -o -r --no-clobber --set --preset --backend --levels --threads --size --raw "
    "--channels --overlay --format --csv --jsonl --explain --aspect --metric --model --limit "
    "--start --every --help --version --bogus --faces --class-model --config --strict "
    "--max-pixels --resume --tiles --zoom"
)
SHAPES = ("(1000000, 1000000, 3)", "(40, 56)", "(0,)", "(-1, 40)", "(40, 56, 3, 1, 1)", "()",
          "(40, 56, 9)", "(65536, 65536)", "(40.0, 56)", "[40, 56]")  # fmt: skip
TYPES = _words("|V0 |V1 <f8 >f4 <f2 <u8 |O <U1 |b1 <c16 <m8[s] <f16 |S0 |u1 >u2 <M8[D] zz <i1")
VALUES = _words("nan inf -inf -0.0 -1e-30 1e-45 3.4e38 -1 2 1e30")


# --- bytes ---------------------------------------------------------------------------------------


def bits(rng: random.Random, data: bytes) -> bytes:
    """Flip one to eight bits."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite(rng: random.Random, data: bytes) -> bytes:
    """Replace a range by zeros, ones or chance."""
    start, end = _range(rng, len(data))
    fill = rng.choice((b"\0" * (end - start), b"\xff" * (end - start), rng.randbytes(end - start)))
    return data[:start] + fill + data[end:]


def truncate(rng: random.Random, data: bytes) -> bytes:
    """End early: anywhere, or by the last bytes."""
    return data[: rng.choice((rng.randint(0, len(data)), max(len(data) - rng.randint(1, 16), 0)))]


def delete(rng: random.Random, data: bytes) -> bytes:
    """Leave a range out."""
    start, end = _range(rng, len(data))
    return data[:start] + data[end:]


def repeat(rng: random.Random, data: bytes) -> bytes:
    """Have a range twice, the second one anywhere."""
    start, end = _range(rng, len(data))
    at = rng.randint(0, len(data))
    return data[:at] + data[start:end] + data[at:]


def extreme(rng: random.Random, data: bytes) -> bytes:
    """Write a number that sizes and lengths seldom have, mostly into the first bytes."""
    form = rng.choice(("<B", "<H", ">H", "<I", ">I"))
    value = rng.choice(EXTREME) & ((1 << 8 * struct.calcsize(form)) - 1)
    at = rng.randrange(min(len(data), rng.choice((32, 128, 1 << 30))) or 1)
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


def append(rng: random.Random, data: bytes) -> bytes:
    """More bytes after the end, or a second file."""
    return data + rng.choice((rng.randbytes(rng.randint(1, 64)), b"\0" * 512, data))


ANY: tuple[Mutation, ...] = (bits, overwrite, truncate, delete, repeat, extreme, append)


def _range(rng: random.Random, length: int) -> tuple[int, int]:
    """Mostly a few bytes, sometimes up to half of them."""
    size = rng.choice((1, 4, 16, max(length // 8, 1), max(length // 2, 1)))
    start = rng.randint(0, length)
    return start, min(start + rng.randint(1, size), length)


# --- formats -------------------------------------------------------------------------------------


def png_chunk(rng: random.Random, data: bytes) -> bytes:
    """Damage, leave out or repeat a chunk, with the right checksum and length."""
    chunks, at = [], 8
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : end]))
        at = end + 4
    i = rng.randrange(len(chunks))
    name, content = chunks[i]
    changed = rng.choice((_damaged, _inflated, extreme))(rng, content)
    chunks[i : i + 1] = rng.choice(([(name, changed)],) * 3 + ([chunks[i]] * 2, []))
    return png(chunks)


def png(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A PNG file of chunks' names and contents."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, content in chunks:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        parts += [struct.pack(">I", len(content)), name, content, checksum]
    return b"".join(parts)


def _damaged(rng: random.Random, data: bytes) -> bytes:
    return rng.choice((bits, overwrite, truncate, delete))(rng, data)


def _inflated(rng: random.Random, data: bytes) -> bytes:
    """The same with its compressed content damaged, if it has any."""
    try:
        return zlib.compress(_damaged(rng, zlib.decompress(data)))
    except zlib.error:
        return bits(rng, data)


def jpeg_segment(rng: random.Random, data: bytes) -> bytes:
    """Damage, leave out or repeat a segment before the scan, with the right length."""
    bounds, scan = [2], data.index(b"\xff\xda")
    while bounds[-1] < scan:
        at = bounds[-1] + 2
        bounds.append(at + int.from_bytes(data[at : at + 2], "big"))
    start, end = rng.choice(list(pairwise(bounds)))
    content = rng.choice((_damaged, extreme))(rng, data[start + 4 : end])
    segment = data[start : start + 2] + struct.pack(">H", len(content) + 2 & 0xFFFF) + content
    return data[:start] + rng.choice((segment, segment, b"", data[start:end] * 2)) + data[end:]


def jpeg_scan(rng: random.Random, data: bytes) -> bytes:
    """Damage entropy-coded data, with the end marker in its place."""
    start = data.find(b"\xff\xda") + 14
    return data[:start] + _damaged(rng, data[start:-2]) + data[-2:]


def tiff_entry(rng: random.Random, data: bytes) -> bytes:
    """Change the tag, type, count or value of an entry of a directory."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        entries = [tag.offset for page in tiff.pages for tag in page.tags]
        order = tiff.byteorder
    form, offset = rng.choice((("H", 0), ("H", 2), ("I", 4), *[("H", 8), ("I", 8)] * 2))
    values = (*EXTREME, 4, 5, 6, 8, 32773, 32946, *entries, rng.randrange(len(data)))
    value = rng.choice(values) & (0xFFFF if form == "H" else 0xFFFFFFFF)
    changed = bytearray(data)
    struct.pack_into(order + form, changed, rng.choice(entries) + offset, value)
    return bytes(changed)


def riff_or_box(rng: random.Random, data: bytes) -> bytes:
    """Change the length of a part, before (ISO media) or after (RIFF) its name, or its name."""
    names = [match.start() for match in re.finditer(rb"[A-Za-z][A-Za-z0-9 ]{3}", data[:65536])]
    at = max(rng.choice(names) + rng.choice((-4, 0, 4, 8, 12)), 0)
    near = int.from_bytes(data[at : at + 4], "big") + rng.choice((-1, 1, 8, -8))
    value = rng.choice((*EXTREME, len(data), near)) & 0xFFFFFFFF
    return data[:at] + struct.pack(rng.choice("<>") + "I", value) + data[at + 4 :]


def npy_header(rng: random.Random, data: bytes) -> bytes:
    """Change the text that says type, order and shape, with the right length."""
    end = 10 + int.from_bytes(data[8:10], "little")
    header = data[10:end].decode("latin-1")
    replaced = (
        re.sub(r"\([^)]*\)", rng.choice(SHAPES), header),
        re.sub(r"'[<>|=][^']*'", f"'{rng.choice(TYPES)}'", header),
        re.sub("True|False", rng.choice(("True", "False", "None")), header),
        replace_number(rng, header.encode()).decode("latin-1"),
        bits(rng, header.encode()).decode("latin-1"),
    )
    changed = rng.choice(replaced).encode("latin-1", "replace")
    return data[:8] + struct.pack("<H", len(changed)) + changed + data[end:]


def npy_values(rng: random.Random, data: bytes) -> bytes:
    """Write unusual numbers over values."""
    start = 10 + int.from_bytes(data[8:10], "little")
    with np.errstate(over="ignore", under="ignore"):
        packed = np.float64(rng.choice(VALUES)).astype(rng.choice(("<f2", "<f4", "<f8"))).tobytes()
    changed = bytearray(data)
    for _ in range(rng.choice((1, 8, 200))):
        at = start + rng.randrange(max(len(data) - start, 1)) // len(packed) * len(packed)
        changed[at : at + len(packed)] = packed
    return bytes(changed[: len(data)])


def npz_member(rng: random.Random, data: bytes) -> bytes:
    """Damage or rename an array of an archive, or give it another's content."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name, other = rng.choice(list(members)), rng.choice(list(members))
    content = members.pop(other if rng.random() < 0.2 else name)
    change = rng.choice((npy_header, npy_values, bits, truncate, _unchanged))
    members[rng.choice((name, name, "other.npy"))] = change(rng, content)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)  # without the time of day
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _unchanged(rng: random.Random, data: bytes) -> bytes:
    return data


# --- text ----------------------------------------------------------------------------------------


def replace_number(rng: random.Random, data: bytes) -> bytes:
    """One number becomes another, or none."""
    return _replaced(rng, data, rb"-?\d+(\.\d+)?([eE]-?\d+)?", NUMBERS)


def replace_word(rng: random.Random, data: bytes) -> bytes:
    """One word becomes another."""
    return _replaced(rng, data, rb"[A-Za-z_.]+", WORDS)


def lines(rng: random.Random, data: bytes) -> bytes:
    """Leave a line out, have it twice, or end lines otherwise."""
    rows = data.split(b"\n")
    i = rng.randrange(len(rows))
    rows[i : i + 1] = rng.choice(([], [rows[i]] * 2, [rows[i], rng.choice(rows)]))
    return rng.choice((b"\n", b"\n", b"\n", b"\r\n", b"\r", b"")).join(rows)


def punctuation(rng: random.Random, data: bytes) -> bytes:
    """One sign of punctuation becomes another, or none."""
    return _replaced(rng, data, rb"[,;:=\[\]{}\"'\t]", ("", *",;\"'[]{}="))


def encoding(rng: random.Random, data: bytes) -> bytes:
    """The same text in another encoding."""
    name = rng.choice(("utf-16", "utf-8-sig", "utf-32", "utf-7"))
    return data.decode("utf-8", "replace").encode(name)


def _replaced(rng: random.Random, data: bytes, pattern: bytes, choices: Sequence[str]) -> bytes:
    found = list(re.finditer(pattern, data))
    if not found:
        return bits(rng, data)
    start, end = rng.choice(found).span()
    return data[:start] + rng.choice(choices).encode("utf-8", "surrogatepass") + data[end:]


TEXT = (replace_number, replace_number, replace_word, lines, punctuation, encoding)
FORMATS: dict[str, tuple[Mutation, ...]] = {
    ".png": (png_chunk,),
    ".jpg": (jpeg_segment, jpeg_scan),
    ".tif": (tiff_entry,),
    **dict.fromkeys((".webp", ".avif", ".jp2", ".avi", ".mp4", ".mov"), (riff_or_box,)),
    **dict.fromkeys((".ppm", ".pgm", ".pnm", ".pbm", ".pam", ".pfm", ".hdr"), (replace_number,)),
    ".npy": (npy_header, npy_values),
    ".npz": (npz_member,),
    **dict.fromkeys((".csv", ".json", ".toml"), TEXT),
}


def mutate(rng: random.Random, name: str, data: bytes) -> tuple[bytes, list[str]]:
    """One to three mutations of a file, most often those that know its format; and their names."""
    special = FORMATS.get(Path(name).suffix, ())
    done = []
    for i in range(rng.choice((1, 1, 1, 2, 3))):
        # What knows the format comes first: it needs a whole file.
        chosen = rng.choice(special if special and i == 0 and rng.random() < 0.6 else ANY)
        data = chosen(rng, data)
        done.append(chosen.__name__)
    return data, done


# --- command lines -------------------------------------------------------------------------------


def mutate_arguments(rng: random.Random, words: list[str]) -> tuple[list[str], list[str]]:
    """One to three words of a command line changed, left out, repeated or added; and how."""
    words, done = words.copy(), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        i = rng.randrange(len(words) or 1)
        word = words[i] if words else ""
        changes = {
            "number": [_text(replace_number, rng, word)],
            "word": [_text(replace_word, rng, word)],
            "value": [word.partition("=")[0] + "=" + rng.choice(NUMBERS)],
            "bits": [_text(bits, rng, word)],
            "drop": [],
            "repeat": [word, word],
            "option": [word, rng.choice(OPTIONS), rng.choice((*NUMBERS, *TARGETS))],
            "flag": [word, rng.choice(OPTIONS)],
            "name": [rng.choice(TARGETS)],
            "any": [rng.choice((*WORDS, *NUMBERS))],
        }
        name = rng.choice(["number", *changes])
        words[i : i + 1] = changes[name]
        done.append(f"{name} {i}")
    return words, done


def _text(mutation: Mutation, rng: random.Random, word: str) -> str:
    """As bytes arrive from a shell: no NUL, and what is no text as surrogates."""
    changed = mutation(rng, word.encode("utf-8", "surrogateescape")).replace(b"\0", b"")
    return changed.decode("utf-8", "surrogateescape")
