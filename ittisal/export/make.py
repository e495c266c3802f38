"""Makes a C library, for the target of this process: see `library`."""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._version import __version__
from ..config import Config
from ..cpu import store
from ..cpu.library import objects
from ..cpu.target import NAMED, NATIVE, name, target
from ..native import toolchain
from ..pipeline import BackendError, FrameFormat
from .snapshot import Snapshot
from .sources import Variant, context_header, exported, variants_source

SOURCES = toolchain.SOURCES
COMPILE = (
    *("-std=c99", "-D_POSIX_C_SOURCE=200112L", "-Os", "-fPIC", "-fvisibility=hidden"),
    *("-ffunction-sections", "-fdata-sections", "-ffp-contract=off", "-Wall", "-Wextra"),
)
LINK = ("-shared", "-s", "-Wl,--gc-sections", "-Wl,-soname,libittisal.so")
FILES = {  # of the result -> sources, in which @VERSION@ is replaced
    "include/ittisal.h": "ittisal.h",
    "lib/pkgconfig/ittisal.pc": "ittisal.pc.in",
    "lib/cmake/ittisal/ittisal-config.cmake": "ittisal-config.cmake",
    "lib/cmake/ittisal/ittisal-config-version.cmake": "ittisal-config-version.cmake.in",
    "example/example.c": "example.c",
    "example/Makefile": "example.mk",
}


def make(folder: Path, variants: Sequence[Variant]) -> None:
    """Write a library of variants, and what belongs to it, into a new folder.

    Raises
    ------
    BackendError
        A kernel does not compile.
    ToolchainError
        There is no C compiler for the target, or it fails.
    OSError
        A file cannot be written.
    """
    for path, source in FILES.items():
        text = (SOURCES / source).read_text(encoding="utf-8").replace("@VERSION@", __version__)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    found = objects(kernel for variant in variants for kernel in variant.snapshot.build.kernels)
    named = NAMED[fitting()]
    cc = toolchain.compiler(named.architecture)
    compiling, linking = (shlex.split(os.environ.get(n, "")) for n in ("CFLAGS", "LDFLAGS"))
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch)
        (made / "context.h").write_text(context_header())
        (made / "variants.c").write_text(variants_source(variants))
        names = exported((SOURCES / "ittisal.h").read_text(encoding="utf-8"))
        (made / "exports").write_text(
            "{ global: " + " ".join(f"{n};" for n in names) + " local: *; };\n"
        )
        compiled: list[Path] = []
        for file in (SOURCES / "ittisal.c", SOURCES / "supported.c", made / "variants.c"):
            compiled.append(made / f"{file.stem}.o")
            include = [f"-I{SOURCES}", f"-I{made}", f"-DITTISAL_{named.define}"]
            toolchain.run([*cc, *COMPILE, *include, *compiling, "-c", file, "-o", compiled[-1]])
        for symbol, data in sorted((store.symbol(kernel), data) for kernel, data in found.items()):
            compiled.append(made / f"{symbol}.o")
            compiled[-1].write_bytes(data)
        script = f"-Wl,--version-script={made / 'exports'}"
        shared, static = folder / "lib/libittisal.so", folder / "lib/libittisal.a"
        toolchain.run([*cc, *LINK, script, *compiled, *linking, "-lm", "-o", shared])
        toolchain.run([*toolchain.archiver(cc), "rcs", static, *compiled])


def fitting() -> str:
    """The named target whose CPUs the library is for: of the native one that with such vectors.

    Raises
    ------
    BackendError
        There is none, on another architecture.
    """
    if name() != NATIVE:
        return name()
    here = target()
    wanted = here.triple.partition("-")[0], here.lanes, here.permutes_bytes
    for each, named in NAMED.items():
        if (named.architecture, named.lanes, named.permutes_bytes) == wanted:
            return each
    raise BackendError(f"there is no C library for {here.triple}; name another target")


def main() -> int:
    """One target's part of `library.export`, by JSON on standard input and output."""
    asked = json.load(sys.stdin)
    try:
        variants = [_variant(**each) for each in asked["variants"]]
        make(Path(asked["folder"]), variants)
    except (BackendError, toolchain.ToolchainError, OSError, RuntimeError, ValueError) as error:
        print(json.dumps({"error": str(error)}))
        return 1
    print(json.dumps({"compiled": len(store.compiled)}))
    return 0


def _variant(
    preset: str, config: dict[str, Any], shape: Sequence[int], pixels: str, type: str, threads: int
) -> Variant:
    format_ = FrameFormat(type, 1 if pixels == "grey" else 3)
    order = "rgb" if pixels == "grey" else pixels
    height, width = shape
    snapshot = Snapshot((height, width), Config.from_dict(config), format_, order, threads)
    return Variant(preset, pixels, type, snapshot)


if __name__ == "__main__":
    sys.exit(main())
