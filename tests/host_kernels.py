"""CUDA kernels compiled by g++ and run on NumPy arrays, called as CuPy's are.

`cuda_on_host.h`, beside this file, does the work and says what it finds. Compiled libraries are
kept in `ITTISAL_HOST_CACHE`, else in a folder of the user's among the temporary files.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from operator import index
from pathlib import Path

import numpy as np

# ELF sections, ucontext and some flags: GCC on Linux, nothing else.
HAS_COMPILER = sys.platform == "linux" and shutil.which("g++") is not None
NO_COMPILER = "kernels run on the host only where there is g++, on Linux"

ORDERS = ("forward", "reverse", "random", "rushing")
HEADER = Path(__file__).with_name("cuda_on_host.h")

# fmt: off
LANGUAGE = [
    "-std=c++17", "-march=native", "-fPIC",
    "-ffp-contract=off", "-fno-math-errno", "-fno-strict-aliasing",
    # Else a checked longjmp, where that is a distribution's default; it minds a switch of stacks.
    "-U_FORTIFY_SOURCE",
    # Variables in templates and inline functions must not be shared between libraries.
    "-fvisibility=hidden", "-fno-gnu-unique",
]
PLAIN = [
    # Kernels run a few times only: -O2 takes longer to compile than it saves.
    "-O1", "-Wall", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-function",
    # A double is a slip in a kernel; a big frame would not fit a fiber's stack.
    "-Wdouble-promotion", "-Wframe-larger-than=32768",
]
SANITIZED = [
    # No warnings: sanitizers cause false ones, and the plain build has given the true ones.
    # Optimisation of the checks takes four times as long as the rest.
    "-O0", "-g1", "-w", "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
    # GCC puts red zones around variables of a named section only if told to.
    "-fsanitize-sections=cu_shared",
]
# fmt: on

# extern "C" __global__ void name(, with __launch_bounds__(...) before or after void.
_BOUNDS = r"(?:__launch_bounds__\s*\(((?:[^()]|\([^()]*\))*)\)\s*)?"
_KERNEL = re.compile(
    rf'^[ \t]*extern\s+"C"\s+__global__\s+{_BOUNDS}void\s+{_BOUNDS}(\w+)\s*\(', re.MULTILINE
)


def sanitizer_environment() -> dict[str, str] | None:
    """What a process needs in its environment for `sanitize=True`; None if it is not installed."""
    if not HAS_COMPILER:
        return None
    found = []
    for name in ("libasan.so", "libubsan.so"):
        query = ["g++", f"-print-file-name={name}"]
        path = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
        if not os.path.isabs(path):  # g++ repeats a name that it cannot find
            return None
        found.append(path)
    return {
        "LD_PRELOAD": " ".join(found),
        # Python leaks on purpose, and fake stacks know nothing of fibers.
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


class HostModule:
    """Kernels compiled for this CPU: what a `cupy.RawModule` is for a GPU.

    Parameters
    ----------
    source
        All kernels and what they need, without any #include; `#line` directives are respected.
        Each kernel is written `extern "C" __global__`, at the start of a line.
    options
        `-DNAME=value` counts, everything else is for another compiler.
    names
        The kernels wanted, where an `#if` leaves others out; else all.
    sanitize
        With AddressSanitizer and UBSan. Only in a process begun with `sanitizer_environment()`;
        a mistake found ends it.
    order, seed
        See `order()`.
    without_barrier
        (file, line) of a `__syncthreads()` that does nothing.

    Raises
    ------
    RuntimeError
        It does not compile; the text is the compiler's.
    """

    def __init__(
        self,
        source: str,
        options: Sequence[str] = (),
        *,
        names: Sequence[str] | None = None,
        sanitize: bool = False,
        order: str = "forward",
        seed: int = 0,
        without_barrier: tuple[str, int] | None = None,
    ):
        if sanitize and "libasan" not in os.environ.get("LD_PRELOAD", ""):
            raise RuntimeError("sanitize=True in a process without sanitizer_environment()")
        found = dict.fromkeys(match[3] for match in _KERNEL.finditer(source))
        self.names = [name for name in found if names is None or name in names]
        defines = [option for option in options if option.startswith("-D")]
        flags = [*(SANITIZED if sanitize else PLAIN), *defines]
        # PyDLL keeps the GIL: the fibers are the library's only ones.
        self._library = ctypes.PyDLL(str(_compiled(_exporting(source, self.names), flags)))
        file, line = without_barrier or ("", 0)
        self._without_barrier = file.encode(), line
        self.order(order, seed)

    def order(self, order: str, seed: int = 0) -> None:
        """Run blocks, and the threads of each, "forward", in "reverse" or at "random".

        Or "rushing": forward, but each warp goes as far as it can before another gets its turn.

        A seed gives the same sequence of orders again, over launches that all succeed.
        """
        if order not in ORDERS:
            raise ValueError(f"order={order!r} is not one of {', '.join(ORDERS)}")
        self._order = ORDERS.index(order)
        self._random_state = ctypes.c_uint64(seed)

    def kernel(self, name: str) -> HostKernel:
        """The kernel of that name, to be called with `(grid, block, args)`."""
        if name not in self.names:
            raise KeyError(f"no kernel {name!r}; there are {', '.join(self.names) or 'none'}")
        return HostKernel(self, name)

    def _launch(self, name, grid, block, addresses):
        # Each time: modules of the same text share one library.
        self._library.cuda_on_host_without_barrier(*self._without_barrier)
        launch = self._library[f"{name}_launch"]
        launch.restype = ctypes.c_char_p
        seed = ctypes.byref(self._random_state)
        failure = launch(_sides(grid, "grid"), _sides(block, "block"), addresses, self._order, seed)
        if failure is not None:
            raise RuntimeError(f"{name}: {failure.decode()}")


class HostKernel:
    """One kernel of a `HostModule`; stands in for `cupy.RawKernel`.

    Arguments are stricter than CuPy's, which would read a Python int as 64 bits whatever the
    parameter is: arrays for pointers, NumPy scalars of exactly the parameter's type, and a
    structured array of one element for a struct by value.
    """

    def __init__(self, module: HostModule, name: str):
        self._module, self.name = module, name
        signature = module._library[f"{name}_signature"]
        signature.restype = ctypes.c_char_p
        text = signature().decode()
        self.parameters = text.split(",") if text else []

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: Sequence) -> None:
        """Launch and wait.

        Raises
        ------
        TypeError
            An argument does not fit the kernel's parameter.
        RuntimeError
            A device would refuse the launch, or threads did not meet at a barrier.
        """
        if len(args) != len(self.parameters):
            raise TypeError(
                f"{self.name}: {len(args)} arguments for {len(self.parameters)} parameters "
                f"({', '.join(self.parameters)})"
            )
        # Kept until the launch is over, since C gets addresses only.
        values = [
            _value(argument, parameter, f"{self.name}: argument {i}")
            for i, (argument, parameter) in enumerate(zip(args, self.parameters, strict=True))
        ]
        addresses = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        self._module._launch(self.name, grid, block, addresses)


def _value(argument, parameter, where):
    """An array with the bytes to copy into the parameter."""
    if parameter == "p":
        if not isinstance(argument, np.ndarray) or argument.ndim == 0:
            raise TypeError(f"{where} must be an array, for a pointer; got {_named(argument)}")
        if not argument.flags.c_contiguous:
            raise TypeError(f"{where} must be C-contiguous; its strides are {argument.strides}")
        return np.array(argument.ctypes.data, np.uintp)
    wanted = np.dtype(parameter)
    if wanted.kind == "V":
        if not isinstance(argument, np.ndarray) or not argument.dtype.names or argument.size != 1:
            raise TypeError(
                f"{where} must be a structured array of one element, for a struct of "
                f"{wanted.itemsize} bytes; got {_named(argument)}"
            )
        if argument.itemsize != wanted.itemsize:
            raise TypeError(
                f"{where} has {argument.itemsize} bytes; the struct has {wanted.itemsize}"
            )
        return argument
    if not isinstance(argument, np.generic) or argument.dtype != wanted:
        raise TypeError(f"{where} must be a numpy.{wanted.name}; got {_named(argument)}")
    return np.array(argument)


def _named(argument):
    if isinstance(argument, np.ndarray):
        return f"a {argument.dtype} array of shape {argument.shape}"
    return f"{type(argument).__module__}.{type(argument).__name__}"


def _sides(sides, what):
    """Three 64-bit numbers, wide enough for the other side to see what is out of range."""
    if not isinstance(sides, tuple) or not 1 <= len(sides) <= 3:
        raise TypeError(f"{what}={sides!r} must be a tuple of one to three ints")
    return (ctypes.c_int64 * 3)(*map(index, sides), *(1,) * (3 - len(sides)))


def _exporting(source, names):
    """The source with what the header needs before and after; no line gets another number."""

    def announced(match):
        bound = match[1] or match[2] or "cuda_on_host::MOST_THREADS"
        # Before the kernel, where macros in the bound have the values that the kernel sees.
        before = f"constexpr unsigned {match[3]}_bound = cuda_on_host::bound({bound}); "
        return " ".join(before.split()) + " " + match[0].lstrip(" \t")

    return "\n".join(
        [
            f'#include "{HEADER.name}"',
            '#line 1 "source.cu"',
            _KERNEL.sub(announced, source),
            '#line 1 "exports"',
            *(f"CUDA_ON_HOST_EXPORT({name})" for name in names),
            "",
        ]
    )


def _environment():
    """Ours without what the sanitizers preload, which g++ would run under too."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


@lru_cache(maxsize=1)
def _compiler_version():
    """What g++ calls itself, and what -march=native means here: a cache may outlive either."""
    query = ["g++", "-march=native", "-E", "-v", "-x", "c++", os.devnull]
    done = subprocess.run(query, capture_output=True, text=True, env=_environment(), check=True)
    return done.stderr


def _compiled(text, flags):
    """Path of the library. The header, a third of all that g++ reads, is precompiled."""
    settings = [*LANGUAGE, *(flag for flag in flags if not flag.startswith("-D"))]
    command = ["g++", *settings, "-x", "c++-header", str(HEADER)]
    header = _built(f"{HEADER.name}.gch", command)
    include = [f"-I{header.parent}", f"-I{HEADER.parent}"]
    command = ["g++", *LANGUAGE, *flags, *include, "-shared", "-x", "c++", "-"]
    return _built("kernels.so", command, text)


def _built(name, command, text=""):
    """Path of what g++ makes, now unless it has before."""
    key = "\0".join([HEADER.read_text(), text, *command, _compiler_version()])
    folder = _cache_folder()
    path = folder / hashlib.sha256(key.encode()).hexdigest()[:24] / name
    if path.exists():
        return path
    # Under another name at first: test runs side by side see whole files or none.
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        unfinished = Path(fresh) / name
        done = subprocess.run(
            [*command, "-o", str(unfinished)],
            input=text,
            capture_output=True,
            text=True,
            env=_environment(),
        )
        if done.returncode:
            raise RuntimeError(f"g++ refused the kernels:\n{done.stderr}")
        path.parent.mkdir(exist_ok=True)
        unfinished.replace(path)
    return path


def _cache_folder():
    chosen = os.environ.get("ITTISAL_HOST_CACHE")
    if chosen:
        folder = Path(chosen)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder = Path(tempfile.gettempdir()) / f"ittisal-host-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():  # code is loaded from here
        raise RuntimeError(f"{folder} belongs to someone else; set ITTISAL_HOST_CACHE")
    return folder
