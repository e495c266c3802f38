"""What the kernels are compiled for: CPU, features, and how wide its vectors are."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any, NamedTuple

import llvmlite.binding as llvm


class Target(NamedTuple):
    """What LLVM compiles for, and what follows for the kernels."""

    triple: str
    cpu: str
    features: str
    lanes: int  # float32 values of the widest vectors: 16, 8 or 4
    permutes_bytes: bool  # one instruction picks any bytes of two vectors


@cache
def target() -> Target:
    """The CPU that runs this, or what NUMBA_CPU_NAME and NUMBA_CPU_FEATURES name.

    ITTISAL_LANES overrides how many lanes its vectors have. ValueError names a value of these that
    cannot be compiled for.
    """
    override = os.environ.get("ITTISAL_LANES")
    if override and override not in ("4", "8", "16"):
        raise ValueError(
            f"ITTISAL_LANES={override!r} must be 4, 8 or 16; unset it for the CPU's own"
        )
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    cpu = os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()
    if cpu == os.environ.get("NUMBA_CPU_NAME"):
        _check_known(cpu, triple)
    features = os.environ.get("NUMBA_CPU_FEATURES", "" if cpu == "generic" else None)
    if features is None:
        features = _host_features()
        listed = set(features.split(","))
        lanes = 16 if "+avx512f" in listed else 8 if "+avx" in listed else 4
        found = Target(triple, cpu, features, lanes, "+avx512vbmi" in listed)
    else:
        found = _probed(Target(triple, cpu, features, 4, False))
    return found._replace(lanes=int(override)) if override else found


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


def _host_features() -> str:
    try:
        return llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM does not know how to ask this CPU
        return ""


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
    module = llvm.parse_assembly(PROBE)
    module.triple = asked.triple
    assembly = machine(asked).emit_assembly(module)
    lanes = 16 if "zmm" in assembly else 8 if "ymm" in assembly else 4
    return asked._replace(
        lanes=lanes, permutes_bytes="vpermi2b" in assembly or "vpermt2b" in assembly
    )


def machine(chosen: Target) -> Any:
    """LLVM's target machine, for objects that can be loaded anywhere."""
    # COFF's 32-bit relocations may not reach from one section to another.
    model = "large" if sys.platform == "win32" else "small"
    return llvm.Target.from_triple(chosen.triple).create_target_machine(
        cpu=chosen.cpu, features=chosen.features, opt=3, reloc="pic", codemodel=model
    )


LANES = target().lanes
PERMUTES_BYTES = target().permutes_bytes
