"""What the kernels are compiled for: CPU, features, and how wide its vectors are."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any, NamedTuple

from . import prebuilt

NATIVE = "native"
SYSTEMS = {"linux": "unknown-linux-gnu", "darwin": "apple-darwin", "win32": "pc-windows-msvc"}


class Target(NamedTuple):
    """What LLVM compiles for, and what follows for the kernels."""

    triple: str
    cpu: str
    features: str
    lanes: int  # float32 values of the widest vectors: 16, 8 or 4
    permutes_bytes: bool  # one instruction picks any bytes of two vectors


class Named(NamedTuple):
    """A target that can be compiled for anywhere."""

    architecture: str
    cpu: str  # LLVM's name
    features: str
    lanes: int
    permutes_bytes: bool
    needs: tuple[str, ...]  # LLVM's names of features that the CPU must have
    define: str  # for ittisal/native/supported.c


LEVEL_2 = ("sse4.2", "popcnt", "cx16")
LEVEL_3 = (*LEVEL_2, "avx2", "bmi2", "f16c", "fma", "lzcnt", "movbe")
LEVEL_4 = (*LEVEL_3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
WIDE = "-prefer-256-bit"
NAMED = {
    "x86-64-v2": Named("x86_64", "x86-64-v2", "", 4, False, LEVEL_2, "X86_LEVEL=2"),
    "x86-64-v3": Named("x86_64", "x86-64-v3", "", 8, False, LEVEL_3, "X86_LEVEL=3"),
    "x86-64-v4": Named("x86_64", "x86-64-v4", WIDE, 16, False, LEVEL_4, "X86_LEVEL=4"),
    "x86-64-v4-vbmi": Named(
        *("x86_64", "x86-64-v4", f"+avx512vbmi,{WIDE}", 16, True),
        *((*LEVEL_4, "avx512vbmi"), "X86_LEVEL=5"),
    ),
    "aarch64": Named("aarch64", "generic", "", 4, False, (), "ARM_CORE=0"),
    "cortex-a53": Named("aarch64", "cortex-a53", "", 4, False, ("crc",), "ARM_CORE=0xd03"),
    "cortex-a72": Named("aarch64", "cortex-a72", "", 4, False, ("crc",), "ARM_CORE=0xd08"),
    "cortex-a76": Named(
        *("aarch64", "cortex-a76", "", 4, False),
        *(("dotprod", "lse", "fullfp16"), "ARM_CORE=0xd0b"),
    ),
}
VARIABLES = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "ITTISAL_LANES")  # of the native target


@cache
def name() -> str:
    """What the kernels of this process are compiled for: a name of `NAMED`, or "native".

    ITTISAL_TARGET says it; without it, it is that of the prebuilt kernels, if there are any that
    this CPU runs.

    Raises
    ------
    ValueError
        ITTISAL_TARGET is none of these.
    """
    asked = os.environ.get("ITTISAL_TARGET")
    if asked:
        if asked not in (NATIVE, *NAMED):
            raise ValueError(
                f"ITTISAL_TARGET={asked!r} is not one of: {', '.join((NATIVE, *NAMED))}"
            )
        return asked
    if any(variable in os.environ for variable in VARIABLES):
        return NATIVE
    return next(iter(prebuilt.libraries()), NATIVE)


@cache
def target() -> Target:
    """The target of that name; the native one is the CPU that runs this, or what NUMBA_CPU_NAME and
    NUMBA_CPU_FEATURES name.

    ITTISAL_LANES overrides how many lanes its vectors have. ValueError names a value of these that
    cannot be compiled for.
    """
    if (named := NAMED.get(name())) is not None:
        system = SYSTEMS.get(sys.platform, SYSTEMS["linux"])
        triple = f"{named.architecture}-{system}"
        return Target(triple, named.cpu, named.features, named.lanes, named.permutes_bytes)
    override = os.environ.get("ITTISAL_LANES")
    if override and override not in ("4", "8", "16"):
        raise ValueError(
            f"ITTISAL_LANES={override!r} must be 4, 8 or 16; unset it for the CPU's own"
        )
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    cpu = os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()
    if cpu == os.environ.get("NUMBA_CPU_NAME"):
        _check_known(cpu, triple)
    features = os.environ.get("NUMBA_CPU_FEATURES", "" if cpu == "generic" else None)
    if features is None:
        there = _host_features()
        features = there.flatten() if there else ""
        lanes = 16 if there.get("avx512f") else 8 if there.get("avx") else 4
        found = Target(triple, cpu, features, lanes, bool(there.get("avx512vbmi")))
    else:
        found = _probed(Target(triple, cpu, features, 4, False))
    return found._replace(lanes=int(override)) if override else found


def runs_here() -> bool:
    """Whether this CPU runs what is compiled for the target."""
    named = NAMED.get(name())
    if named is None or name() in prebuilt.libraries():
        return True
    import llvmlite.binding as llvm

    there = _host_features()
    same = llvm.get_process_triple().partition("-")[0] == named.architecture
    return same and all(there.get(feature) for feature in named.needs)


def _check_known(cpu: str, triple: str) -> None:
    """Refuse a CPU that LLVM does not know, which it says on standard error alone."""
    import tempfile

    with tempfile.TemporaryFile() as said:
        stderr = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            machine(Target(triple, cpu, "", 4, False))
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        said.seek(0)
        if b"is not a recognized processor" in said.read():
            raise ValueError(
                f"NUMBA_CPU_NAME={cpu!r} is no CPU that LLVM knows for {triple}; unset it for this "
                "machine's, or name another, such as generic"
            )


def _host_features() -> Any:
    """What this CPU has, by LLVM's names."""
    import llvmlite.binding as llvm

    try:
        return llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM does not know how to ask this CPU
        return {}


PROBE = """
define <16 x float> @add(<16 x float> %a, <16 x float> %b) {{
  %c = fadd <16 x float> %a, %b
  ret <16 x float> %c
}}
define <64 x i8> @mix(<64 x i8> %a, <64 x i8> %b) {{
  %c = shufflevector <64 x i8> %a, <64 x i8> %b, <64 x i32> <{mask}>
  ret <64 x i8> %c
}}
""".format(mask=", ".join(f"i32 {7 * lane % 128}" for lane in range(64)))


def _probed(asked: Target) -> Target:
    """Lanes and byte permutes as LLVM uses them: features that were named imply others."""
    if not asked.triple.startswith("x86"):  # 16-byte vectors everywhere else
        return asked
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(PROBE)
    module.triple = asked.triple
    assembly = machine(asked).emit_assembly(module)
    lanes = 16 if "zmm" in assembly else 8 if "ymm" in assembly else 4
    return asked._replace(
        lanes=lanes, permutes_bytes="vpermi2b" in assembly or "vpermt2b" in assembly
    )


def machine(chosen: Target) -> Any:
    """LLVM's target machine, for objects that can be loaded anywhere."""
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    # COFF's 32-bit relocations may not reach from one section to another.
    model = "large" if sys.platform == "win32" else "small"
    return llvm.Target.from_triple(chosen.triple).create_target_machine(
        cpu=chosen.cpu, features=chosen.features, opt=3, reloc="pic", codemodel=model
    )
