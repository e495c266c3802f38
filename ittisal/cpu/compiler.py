"""Compiles one kernel to an object: Numba writes LLVM's code, LLVM optimises and emits it.

Numba's wrappers, machine code and cache are left out. An object has one symbol, a C function of
whole numbers, and needs nothing of Numba.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pickle
import traceback
from typing import Any, BinaryIO

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import compiler, cpu, typed_passes, types, untyped_passes
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys

from . import simd, store
from .library import Facts, Kernel
from .target import machine, target

# Functions of Numba's runtime and of Python, which are not there when an object is loaded.
FOREIGN = ("NRT_", "numba_", "_numba", "_ZN", "Py", "_Py")


class Pipeline(compiler.CompilerBase):
    """The passes of Numba that kernels need: no closures, no array expressions, no objects."""

    def define_pipelines(self) -> list[PassManager]:
        """One list of passes."""
        manager = PassManager("kernel")
        for each in (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            untyped_passes.IRProcessing,
            untyped_passes.ReconstructSSA,
            typed_passes.NopythonTypeInference,
            typed_passes.PreLowerStripPhis,
            typed_passes.IRLegalization,
            typed_passes.AnnotateTypes,
            typed_passes.NativeLowering,
            typed_passes.NoPythonBackend,
        ):
            manager.add_pass(each, each.__name__)
        manager.finalize()
        return [manager]


@global_compiler_lock
def compile_kernel(kernel: Kernel) -> bytes:
    """The kernel as an object with one symbol, `store.symbol(kernel)`."""
    function = getattr(importlib.import_module(kernel.full_module), kernel.function)
    kinds = tuple(_kind(name, kernel) for name in inspect.signature(function).parameters)
    typing, context = cpu_target.typing_context, cpu_target.target_context
    flags: Any = compiler.Flags()
    flags.nrt = flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    # The safe part of fast-math: no reassociation, NaN and infinity keep their meaning.
    flags.fastmath = cpu.FastMathOptions({"contract", "arcp", "nsz"})
    typed = compiler.compile_extra(
        typing, context, function, kinds, None, flags, {}, pipeline_class=Pipeline
    )
    module = _entry(store.symbol(kernel), context, typed.fndesc)
    module.link_in(typed.library._final_module)
    for library in typed.library._linking_libraries:
        if library is not rtsys.library:
            module.link_in(library._get_module_for_linking(), preserve=True)
    return _emit(module, store.symbol(kernel))


def _kind(name: str, kernel: Kernel) -> types.Type:
    if name == "facts":
        return simd.Static(Facts(kernel.facts))
    return simd.context_type if name == "context" else types.int64


def _entry(symbol: str, context: Any, described: Any) -> llvm.ModuleRef:
    """A module with the C function, which calls what Numba compiled.

    Kernels' arrays belong to nobody: functions that would count references do nothing.
    """
    module = context.create_module(symbol)
    number, returned = ir.IntType(64), ir.VoidType()
    if described.restype != types.none:
        returned = number
    given = [kind for kind in described.argtypes if not isinstance(kind, simd.Static)]
    function = ir.Function(module, ir.FunctionType(returned, [number] * len(given)), symbol)
    builder = ir.IRBuilder(function.append_basic_block())
    numbers = iter(function.args)
    arguments = [
        context.get_dummy_value() if isinstance(kind, simd.Static) else next(numbers)
        for kind in described.argtypes
    ]
    called = context.declare_function(module, described)
    _, value = context.call_conv.call_function(
        builder, called, described.restype, described.argtypes, arguments
    )
    builder.ret_void() if returned is not number else builder.ret(value)
    for name in ("NRT_incref", "NRT_decref"):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
        ir.IRBuilder(ir.Function(module, kind, name).append_basic_block()).ret_void()
    return llvm.parse_assembly(str(module))


def _emit(module: llvm.ModuleRef, symbol: str) -> bytes:
    """Optimise what the symbol needs, and write machine code."""
    for each in (*module.functions, *module.global_variables):
        if not each.is_declaration and each.name != symbol:
            each.linkage = "internal"
    chosen = machine(target())
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = True
    passes = llvm.create_pass_builder(chosen, tuning)
    passes.getModulePassManager().run(module, passes)
    outside = [each.name for each in module.functions if each.is_declaration]
    for name in outside:
        if name.startswith(FOREIGN) or not (
            name.startswith("llvm.") or llvm.address_of_symbol(name)
        ):  # LLVM ends the process that loads such an object
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
                if store.symbol(kernel) != symbol:
                    raise RuntimeError("ittisal's files have changed; start Python again")
                answer: bytes | str = compile_kernel(kernel)
            except Exception:
                answer = traceback.format_exc()
            pickle.dump(answer, answers)
            answers.flush()
