"""LLVM's code of a scalar kernel, by Numba.

Numba's wrappers, machine code and cache are left out: the result needs nothing of Numba.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import compiler, typed_passes, types, untyped_passes
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys

from .target import machine, target


class Pipeline(compiler.CompilerBase):
    """The passes of Numba that such kernels need: no closures, no array expressions, no objects."""

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
def translate(function: Callable[..., None], symbol: str) -> llvm.ModuleRef:
    """A module with a C function of the symbol's name, of whole numbers; it returns nothing."""
    arity = len(inspect.signature(function).parameters)
    typing, context = cpu_target.typing_context, cpu_target.target_context
    flags: Any = compiler.Flags()
    flags.nrt = flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    kinds = (types.int64,) * arity
    typed = compiler.compile_extra(
        typing, context, function, kinds, types.none, flags, {}, pipeline_class=Pipeline
    )
    called = context.create_module(symbol)
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * arity)
    entry = ir.Function(called, kind, symbol)
    builder = ir.IRBuilder(entry.append_basic_block())
    declared = context.declare_function(called, typed.fndesc)
    context.call_conv.call_function(builder, declared, types.none, kinds, entry.args)
    builder.ret_void()
    module = llvm.parse_assembly(str(called))
    module.link_in(typed.library._final_module)
    for library in typed.library._linking_libraries:
        if library is not rtsys.library:
            module.link_in(library._get_module_for_linking(), preserve=True)
    # Whole numbers of 64 bits are the same for all targets; Numba writes for the CPU it runs on.
    module.triple, module.data_layout = target().triple, str(machine(target()).target_data)
    for each in (*module.functions, *module.global_variables):
        if not each.is_declaration and each.name != symbol:
            each.linkage = "internal"
    return module
