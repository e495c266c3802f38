"""Compiled kernels: what an object depends on, where it is kept, and that nothing breaks it."""

from __future__ import annotations

import ctypes
import errno
import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import llvmlite
import pytest

from ittisal import store as files
from ittisal import warning
from ittisal.cpu import builder, describe, library, store, target
from ittisal.cpu.context import ContextRecord
from ittisal.cpu.kernel import Kernel

KERNELS = """
import os

from ittisal.cpu import simd
from .numbers import ADDED

if os.environ.get("TOYS_LIVE_IN", str(os.getpid())) != str(os.getpid()):
    os._exit(3)


def add(task, worker, context, facts):
    context.set("planes", task + worker + facts.number + ADDED)


def scale(task, worker, context, facts):
    values = simd.memory_at(task, "f4")
    for x in simd.span(0, worker, simd.LANES):
        values.store(x, values.load(x) * facts.factor)


def wrong(task, worker, context, facts):
    context.set("planes", task + facts.missing)


def foreign(task, worker):
    len([task])
"""
posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes of files")


class Toys:
    """A package of kernels of its own, and a store that is empty."""

    def __init__(self, path: Path) -> None:
        self.path, self.package = path, f"toys{os.getpid()}_{time.monotonic_ns()}"
        folder = path / self.package
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        (folder / "kernels.py").write_text(KERNELS)
        (folder / "numbers.py").write_text("from .deep import ADDED\n")
        (folder / "deep.py").write_text("ADDED = 1000\n")
        (folder / "apart.py").write_text("")
        self.folder = folder

    def kernel(self, function: str, **facts: object) -> Kernel:
        return Kernel(f"{self.package}.kernels", function, tuple(sorted(facts.items())))

    def add(self, number: int = 1) -> Kernel:
        return self.kernel("add", number=number)


def forget() -> None:
    """As in a new process."""
    library._addresses.clear()
    store.compiled.clear()
    files._unkept.clear()
    warning._given.clear()
    for cached in (
        store.symbol,
        store.key,
        store._sources,
        store._source,
        store._file,
        files.folder,
    ):
        cached.cache_clear()
    store._environment.cache_clear()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty store."""
    monkeypatch.setenv("ITTISAL_CACHE_DIR", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache" / "kernels"
    forget()


@pytest.fixture
def toys(tmp_path, monkeypatch, cache):
    monkeypatch.syspath_prepend(tmp_path)
    return Toys(tmp_path)


def call(address: int, task: int, worker: int) -> int:
    """Run a kernel; what it leaves in the context."""
    context = ContextRecord()
    ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(address)(task, worker, context.address)
    return context.get("planes")


def compile_here(monkeypatch) -> list[Kernel]:
    """Compile in this process, which is sooner ready for a kernel or two; those compiled."""
    monkeypatch.setattr(builder, "_start", lambda count: [])
    return store.compiled


def objects(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.o"))


# --- compiling and loading -----------------------------------------------------------------------


START = """
import sys
sys.path.insert(0, {path!r})
from ittisal.cpu import library, store
from ittisal.cpu.kernel import Kernel
kernels = [Kernel({module!r}, "add", (("number", n),)) for n in range({count})]
found = library.addresses(kernels)
import ctypes
from ittisal.cpu.context import ContextRecord
context, total = ContextRecord(), 0
for kernel in kernels:
    ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(found[kernel])(1, 2, context.address)
    total += context.get("planes")
print(len(store.compiled), "numba" in sys.modules, total)
"""


def start(toys: Toys, count: int, **environment: str) -> subprocess.Popen[str]:
    code = START.format(path=str(toys.path), module=f"{toys.package}.kernels", count=count)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert not err, "a bar is for terminals"
    return out.split()


def test_the_second_start_compiles_nothing(toys):
    assert answer(start(toys, 4)) == ["4", "False", "4018"]
    assert answer(start(toys, 4)) == ["0", "False", "4018"]
    assert answer(start(toys, 5)) == ["1", "False", "5025"]


def test_processes_that_start_together_compile_once(toys, cache):
    first, second = start(toys, 5), start(toys, 5)
    answers = [answer(first), answer(second)]
    assert [each[2] for each in answers] == ["5025", "5025"]
    assert sum(int(each[0]) for each in answers) == 5
    assert len(objects(cache)) == 5


def test_vectors_and_facts(toys, monkeypatch):
    import numpy as np

    compile_here(monkeypatch)
    double, half = toys.kernel("scale", factor=2.0), toys.kernel("scale", factor=0.5)
    found = library.addresses([double, half])
    values = np.arange(64, dtype=np.float32)
    call(found[double], values.ctypes.data, 64)
    np.testing.assert_array_equal(values, 2 * np.arange(64))
    for _ in range(2):
        call(found[half], values.ctypes.data, 64)
    np.testing.assert_array_equal(values, np.arange(64) / 2)


def test_each_kernel_is_loaded_once(toys, monkeypatch):
    compiled = compile_here(monkeypatch)
    first = library.addresses([toys.add(1), toys.add(1)])
    again = library.addresses([toys.add(2), toys.add(1)])
    assert again[toys.add(1)] == first[toys.add(1)]
    assert compiled == [toys.add(1), toys.add(2)]
    assert call(again[toys.add(2)], 5, 6) == 1013


def test_threads_that_ask_together(toys, monkeypatch):
    compiled = compile_here(monkeypatch)
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.extend(library.addresses([toys.add()]).values()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1
    assert compiled == [toys.add()]


FORK = """
import os, signal, sys, threading, time
sys.path.insert(0, {path!r})
from ittisal.cpu import compiler, library
from ittisal.cpu.kernel import Kernel

kernels = [Kernel({module!r}, "add", (("number", n),)) for n in range(2)]
compiling = threading.Event()
emit = compiler.emit

def slow(module):
    compiling.set()
    for _ in range(20):  # LLVM's lock is taken and given back
        made = emit(module.clone())
    return made

compiler.emit = slow
thread = threading.Thread(target=library.addresses, args=(kernels,))
thread.start()
compiling.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    print(len(library.addresses(kernels)), flush=True)
    os._exit(0)
thread.join()
print(os.waitpid(child, 0)[1])
"""


@posix
def test_a_fork_waits_for_what_is_compiled(toys):
    code = FORK.format(path=str(toys.path), module=f"{toys.package}.kernels")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["2", "0"], done.stderr


def test_a_process_that_never_answers(toys, monkeypatch):
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: popen(sleeper, **options))
    monkeypatch.setattr(store, "PATIENCE", 0.5)
    wanted = [toys.add(n) for n in range(4)]
    assert len(library.addresses(wanted)) == 4


def test_no_process_can_be_started(toys, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError(errno.EAGAIN, "too many processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert call(library.addresses([toys.add()])[toys.add()], 1, 2) == 1004


def test_processes_that_die(toys, monkeypatch):
    monkeypatch.setenv("TOYS_LIVE_IN", str(os.getpid()))
    wanted = [toys.add(n) for n in range(5)]
    found = library.addresses(wanted)
    assert [call(found[kernel], 1, 2) for kernel in wanted] == [1003 + n for n in range(5)]
    assert sorted(store.compiled) == wanted


def test_a_kernel_that_does_not_compile_is_named(toys, monkeypatch):
    with pytest.raises(RuntimeError, match=r"(?s)kernel wrong of toys\w+\.kernels .*'missing'"):
        library.addresses([toys.kernel("wrong", number=1)])
    compile_here(monkeypatch)
    with pytest.raises(RuntimeError, match=r"(?s)kernel wrong of toys\w+\.kernels .*'missing'"):
        library.addresses([toys.kernel("wrong", number=1)])
    assert call(library.addresses([toys.add()])[toys.add()], 1, 2) == 1004


def test_an_object_that_would_need_numba_is_refused(toys, monkeypatch):
    compile_here(monkeypatch)
    with pytest.raises(RuntimeError, match=r"kernel foreign .* it calls NRT_"):
        library.addresses([toys.kernel("foreign")._replace(scalar=True)])


def test_files_that_change_under_a_running_process(toys):
    store.symbol(toys.add())
    (toys.folder / "deep.py").write_text("ADDED = 2000\n")
    with pytest.raises(RuntimeError, match="files have changed"):
        library.addresses([toys.add()])


def test_a_bar_on_a_terminal(toys, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    compile_here(monkeypatch)
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    library.addresses([toys.add()])
    assert not shown.getvalue(), "nothing is told of what is quick"
    monkeypatch.setattr(builder, "SILENCE", 0.0)
    library.addresses([toys.add(2), toys.add(3)])
    lines = shown.getvalue().split("\r")
    assert "first time only" in lines[1] and "0/2" in lines[1]
    assert lines[-1].endswith("] 2/2\n")


# --- what an object depends on -------------------------------------------------------------------


def test_the_target_is_what_numba_compiles_for():
    from numba.core.registry import cpu_target

    assert target.target()[:3] == cpu_target.target_context.codegen().magic_tuple()


@pytest.mark.parametrize(
    ("cpu", "features", "lanes"),
    [
        ("nehalem", "", 4),
        ("haswell", "", 8),
        ("x86-64", "+avx512f", 16),
        ("skylake-avx512", "", 16),
    ],
)
@pytest.mark.skipif("x86" not in target.target().triple, reason="names of x86 CPUs")
def test_a_target_that_is_named(monkeypatch, cpu, features, lanes):
    monkeypatch.delenv("ITTISAL_LANES", raising=False)
    monkeypatch.setenv("NUMBA_CPU_NAME", cpu)
    monkeypatch.setenv("NUMBA_CPU_FEATURES", features)
    found = target.target.__wrapped__()
    assert found[1:4] == (cpu, features, lanes)
    monkeypatch.setenv("ITTISAL_LANES", "4")
    assert target.target.__wrapped__().lanes == 4


def test_names_depend_on_kernel_and_facts(toys):
    kernels = [
        toys.add(1),
        toys.add(2),
        toys.kernel("add", number="1"),
        toys.kernel("scale", number=1),
        Kernel(f"{toys.package}.numbers", "add", (("number", 1),)),
    ]
    assert len({store.symbol(kernel) for kernel in kernels}) == len(kernels)


@pytest.mark.parametrize(
    ("name", "counts"), [("kernels", True), ("numbers", True), ("deep", True), ("apart", False)]
)
def test_names_depend_on_the_sources_that_are_imported(toys, name, counts):
    before = store.symbol(toys.add())
    source = toys.folder / f"{name}.py"
    source.write_text(source.read_text() + "# a change\n")
    forget()
    assert (store.symbol(toys.add()) != before) == counts


def test_sources_of_this_package():
    found = dict(store._sources("ittisal.cpu.simd"))
    assert {"ittisal.cpu.simd", "ittisal.cpu.simd.values", "ittisal.cpu.target"} <= set(found)
    assert all(found.values())


def test_names_depend_on_target_and_versions(toys, monkeypatch, tmp_path):
    def name(*, scalar=False):
        forget()
        return store.key(toys.add()._replace(scalar=scalar))

    names = [name(), name(scalar=True)]
    here = target.target()
    for change in ({"cpu": "z80"}, {"features": "+x"}, {"lanes": 2}, {"permutes_bytes": None}):
        with monkeypatch.context() as patch:
            changed = here._replace(**change)
            patch.setattr(target, "target", lambda changed=changed: changed)
            names.append(name())
    for module, attribute in ((store, "__version__"), (llvmlite, "__version__")):
        with monkeypatch.context() as patch:
            patch.setattr(module, attribute, "0.0.0")
            names.append(name())
    with monkeypatch.context() as patch:
        find = store.importlib.util.find_spec
        (tmp_path / "_version.py").write_text("another Numba")
        numba = store.importlib.util.spec_from_file_location("numba", tmp_path / "__init__.py")
        patch.setattr(
            store.importlib.util, "find_spec", lambda name: numba if name == "numba" else find(name)
        )
        names.append(name(scalar=True))
        assert name() == names[0], "only scalar kernels depend on Numba"
    assert len(set(names)) == len(names)
    assert name() == names[0]


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:10],
        lambda whole: whole[: len(files.MAGIC) + 32],
        lambda whole: whole[:-1],
        lambda whole: whole + b"\0",
        lambda whole: bytes(len(whole)),
        lambda whole: whole[:200] + bytes(100) + whole[300:],
        lambda whole: whole.replace(files.MAGIC, b"ittisal object 0\n"),
    ],
    ids=["empty", "no digest", "no object", "cut", "longer", "zeros", "zeros inside", "old format"],
)
def test_a_damaged_object_is_compiled_again_and_replaced(toys, cache, monkeypatch, damage):
    compiled = compile_here(monkeypatch)
    library.addresses([toys.add()])
    [path] = objects(cache)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    forget()
    assert call(library.addresses([toys.add()])[toys.add()], 1, 2) == 1004
    assert compiled == [toys.add()]
    assert store.read(toys.add()) is not None
    assert path.read_bytes()[: len(files.MAGIC)] == files.MAGIC


def test_no_object_passes_for_another(toys, cache, monkeypatch):
    compile_here(monkeypatch)
    library.addresses([toys.add(1), toys.add(2)])
    one, two = objects(cache)
    one.write_bytes(two.read_bytes())
    assert sorted(store.read(toys.add(n)) is None for n in (1, 2)) == [False, True]


# --- no store ------------------------------------------------------------------------------------


def once(caught, *words: str) -> None:
    [warning] = caught
    text = str(warning.message)
    assert "ITTISAL_CACHE_DIR" in text
    assert warning.filename == __file__  # the caller's line, not one of the package
    for word in words:
        assert word in text, text


def two_kernels(toys: Toys) -> None:
    for number in (1, 2):
        kernel = toys.add(number)
        assert call(library.addresses([kernel])[kernel], 1, 2) == 1003 + number


def test_a_full_disk_costs_the_store_only(toys, cache, monkeypatch):
    compile_here(monkeypatch)

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(RuntimeWarning) as caught:
        two_kernels(toys)
    once(caught, "No space left")
    assert [path.name for path in cache.iterdir()] == ["lock"]


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # as on a full disk, every write fails
import warnings
warnings.simplefilter("default")
"""


@posix
def test_no_byte_can_be_written(toys, cache):
    code = LIMITED + START.format(
        path=str(toys.path), module=f"{toys.package}.kernels", count=2
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["2", "False", "2007"], done.stderr
    assert done.stderr.count("RuntimeWarning") == 1
    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_no_folder_can_be_made(toys, tmp_path, monkeypatch):
    compile_here(monkeypatch)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ITTISAL_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning) as caught:
        two_kernels(toys)
    once(caught, str(tmp_path / "file"))
    assert files.directory() is None and describe()["cache directory"].startswith("none")


def test_no_home(toys, monkeypatch):
    compile_here(monkeypatch)
    monkeypatch.setenv("ITTISAL_CACHE_DIR", "~nobody-of-that-name/cache")
    with pytest.warns(RuntimeWarning) as caught:
        two_kernels(toys)
    once(caught)


@posix
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_to_is_not_used(toys, cache, monkeypatch, mode):
    compiled = compile_here(monkeypatch)
    library.addresses([toys.add()])
    cache.chmod(mode)
    forget()
    with pytest.warns(RuntimeWarning) as caught:
        two_kernels(toys)
    once(caught, str(cache), "chmod go-w")
    assert compiled == [toys.add(1), toys.add(2)]
    assert len(objects(cache)) == 1


@posix
def test_a_folder_of_another_user_is_not_used(toys, cache, monkeypatch):
    compiled = compile_here(monkeypatch)
    library.addresses([toys.add()])
    if os.geteuid() == 0:
        os.chown(cache, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    forget()
    with pytest.warns(RuntimeWarning) as caught:
        two_kernels(toys)
    once(caught, str(cache), "another user")
    assert compiled == [toys.add(1), toys.add(2)]


@posix
def test_nobody_else_may_enter_the_folder(toys, cache, monkeypatch):
    compile_here(monkeypatch)
    before = os.umask(0)
    try:
        library.addresses([toys.add()])
    finally:
        os.umask(before)
    assert cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(sys.platform != "linux", reason="folders of Linux")
def test_where_the_store_is(tmp_path, monkeypatch, cache):
    def place(**environment):
        for name in ("ITTISAL_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, str(tmp_path / value))
        forget()
        return str(files.directory().relative_to(tmp_path))

    assert place(ITTISAL_CACHE_DIR="a", NUMBA_CACHE_DIR="b", HOME="c") == "a/kernels"
    assert place(NUMBA_CACHE_DIR="b", HOME="c") == "b/ittisal/kernels"
    assert place(XDG_CACHE_HOME="x", HOME="c") == "x/ittisal/kernels"
    assert place(HOME="c") == "c/.cache/ittisal/kernels"


# --- other processes -----------------------------------------------------------------------------

HOLD = """
import sys
from ittisal.cpu import store
with store.exclusive(lambda: False):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(cache):
    """A process that holds the lock and compiles nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_process_that_dies_leaves_no_lock(holder):
    holder.kill()
    holder.wait()
    looked = []
    with store.exclusive(lambda: bool(looked.append(1))):
        assert not looked


def test_what_another_process_compiles_is_waited_for(holder):
    looks = iter([False, False, True])
    with store.exclusive(lambda: next(looks)):
        assert next(looks, None) is None


def test_a_process_that_does_nothing_is_not_waited_for(holder, toys, monkeypatch):
    monkeypatch.setattr(store, "PATIENCE", 0.1)
    compiled = compile_here(monkeypatch)
    library.addresses([toys.add()])
    assert compiled == [toys.add()]
    assert holder.poll() is None


# --- size ----------------------------------------------------------------------------------------


def test_what_was_used_least_recently_is_removed(toys, cache, monkeypatch):
    compile_here(monkeypatch)
    kernels = [toys.add(n) for n in range(4)]
    library.addresses(kernels[:3])
    size = store.path(kernels[0]).stat().st_size
    for age, kernel in zip((3, 5, 4), kernels, strict=False):
        old = time.time() - age * files.DAY
        os.utime(store.path(kernel), (old, old))
    forget()
    library.addresses(kernels[1:2])  # which makes it the newest
    monkeypatch.setattr(files, "CAPACITY", 3 * size + 50)
    library.addresses(kernels[3:])
    kept = [store.read(kernel) is not None for kernel in kernels]
    assert kept == [True, True, False, True]


def test_what_dead_processes_left_is_removed(toys, cache, monkeypatch):
    compile_here(monkeypatch)
    library.addresses([toys.add(1)])
    old, new = cache / ".ittisal-0123.tmp", cache / ".ittisal-4567.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    library.addresses([toys.add(2)])
    assert not old.exists()
    assert new.exists(), "another process may be writing it"
