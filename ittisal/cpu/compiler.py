"""Compiles one kernel to an object with one symbol, a C function of whole numbers.

Kernels write LLVM's code themselves, by the SIMD layer; that of scalar kernels Numba writes. LLVM
optimises and emits it.
"""

from __future__ import annotations

import contextlib
import importlib
import pickle
import traceback
from collections.abc import Callable
from typing import BinaryIO

import llvmlite.binding as llvm
from llvmlite import ir

from . import simd, store
from .kernel import Facts, Kernel
from .target import machine, target

# Functions of Numba's runtime and of Python, which are not there when an object is loaded.
FOREIGN = ("NRT_", "numba_", "_numba", "_ZN", "Py", "_Py")


def compile_kernel(kernel: Kernel, symbol: str) -> bytes:
    """The kernel as an object with this symbol, which is `store.symbol(kernel)`.

    Raises
    ------
    RuntimeError
        It is not, since files have changed under a running process.
    """
    if store.symbol(kernel) != symbol or store.changed(kernel):
        raise RuntimeError("ittisal's files have changed; start Python again")
    function = getattr(importlib.import_module(kernel.full_module), kernel.function)
    if kernel.scalar:
        from .scalar import translate

        return emit(translate(function, symbol))
    return emit(written(function, symbol, Facts(**dict(kernel.facts))))


def written(kernel: Callable[..., None], symbol: str, facts: Facts) -> llvm.ModuleRef:
    """What a kernel of the SIMD layer writes, as a C function of three whole numbers."""
    module = ir.Module(symbol)
    module.triple, module.data_layout = target().triple, str(machine(target()).target_data)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [simd.I64] * 3), symbol)
    function.attributes.add("nounwind")
    builder = ir.IRBuilder(function.append_basic_block())
    task, worker, context = (simd.Value(builder, argument) for argument in function.args)
    kernel(task, worker, simd.Context(context), facts)
    builder.ret_void()
    return llvm.parse_assembly(str(module))


def emit(module: llvm.ModuleRef) -> bytes:
    """Optimise, and write machine code."""
    chosen, tuning = machine(target()), llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = True
    passes = llvm.create_pass_builder(chosen, tuning)
    passes.getModulePassManager().run(module, passes)
    for name in (each.name for each in module.functions if each.is_declaration):
        known = name.startswith("llvm.") or llvm.address_of_symbol(name)
        if not known or name.startswith(FOREIGN):  # LLVM ends the process that loads such an object
            raise RuntimeError(f"it calls {name}, which will not be found")
    return chosen.emit_object(module)


# --- in a process of its own ---------------------------------------------------------------------


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Compile what comes through the pipe from the process that started this one.

    A request is a kernel and its symbol; the answer is an object, or what went wrong as text.
    """
    with contextlib.suppress(EOFError, BrokenPipeError):  # the other process has ended
        while True:
            kernel, symbol = pickle.load(requests)
            try:
                answer: bytes | str = compile_kernel(kernel, symbol)
            except Exception:
                answer = traceback.format_exc()
            pickle.dump(answer, answers)
            answers.flush()
