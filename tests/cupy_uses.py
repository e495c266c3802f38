"""What source files use of CuPy, found from their syntax, and what of it the real CuPy lacks.

Followed are imports, `cupy` by that name or as an attribute, local names, attributes of `self` and
results of functions, ours and CuPy's, as far as they say what they are.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import cupy


class Instance(NamedTuple):
    """An object of a class, which no one can make without a GPU."""

    type: type


class Fault(NamedTuple):
    """What is used and is not there."""

    line: int
    text: str


def faults(texts: dict[Path, str]) -> tuple[dict[Path, list[Fault]], int]:
    """By file, what CuPy lacks; and how many names and keywords were looked up."""
    trees = {path: ast.parse(text) for path, text in texts.items()}
    known: dict[str, Any] = {}  # what attributes and functions of ours are
    for _ in range(3):  # until what follows from what is found too
        for tree in trees.values():
            _Reader(known).visit(tree)
    found, looked_up = {}, 0
    for path, tree in trees.items():
        reader = _Reader(known)
        reader.visit(tree)
        found[path] = reader.faults
        looked_up += reader.looked_up
    return found, looked_up


class _Reader(ast.NodeVisitor):
    """One file: names as they are assigned, and each attribute and call as it comes."""

    def __init__(self, known: dict[str, Any]) -> None:
        self.known = known
        self.scopes: list[dict[str, Any]] = [{}]
        self.faults: list[Fault] = []
        self.looked_up = 0
        self.function: list[str] = []
        self.others: set[str] = set()  # modules that have nothing of CuPy

    # --- what an expression is

    def value(self, node: ast.AST | None) -> Any:
        """A module, class, function or `Instance` of CuPy's; None if it is nothing of the kind."""
        if isinstance(node, ast.Name):
            if node.id == "cupy":
                return cupy
            return next((s[node.id] for s in reversed(self.scopes) if node.id in s), None)
        if isinstance(node, ast.Attribute):
            if node.attr == "cupy":
                return cupy
            if isinstance(node.value, ast.Name) and node.value.id in self.others:
                return None
            owner = self.value(node.value)
            if owner is None:
                return self.known.get(node.attr)
            found = getattr(getattr(owner, "type", owner), node.attr, None)
            return None if isinstance(owner, Instance) and not callable(found) else found
        if isinstance(node, ast.Call):
            return _result(self.value(node.func))
        if isinstance(node, ast.Subscript):
            owner = self.value(node.value)
            return owner if isinstance(owner, Instance) and owner.type is cupy.ndarray else None
        return None

    # --- what is looked up

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        owner = None if node.attr == "cupy" else self.value(node.value)
        if isinstance(owner, Instance):
            self.look_up(_has(owner.type, node.attr), node)
        elif owner is not None and not isinstance(owner, _Returns):
            self.look_up(hasattr(owner, node.attr), node)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        there = keywords(self.value(node.func))
        for keyword in node.keywords:
            if there is not None and keyword.arg:
                self.look_up(keyword.arg in there, node, f" has no keyword {keyword.arg}")

    def look_up(self, good: bool, node: ast.AST, says: str = "") -> None:
        self.looked_up += 1
        if not good:
            self.faults.append(Fault(node.lineno, ast.unparse(getattr(node, "func", node)) + says))

    # --- where values come from

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.split(".")[0] in ("cupy", "cupyx"):
                module = importlib.import_module(alias.name)
                name = alias.asname or alias.name.split(".")[0]
                self.scopes[-1][name] = module if alias.asname else importlib.import_module(name)
            else:
                self.others.add(alias.asname or alias.name.split(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level == 0 and node.module.split(".")[0] in ("cupy", "cupyx"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                there = getattr(module, alias.name, None)
                self.look_up(there is not None, node)
                self.scopes[-1][alias.asname or alias.name] = there

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            self.assign(target, node.value)

    def assign(self, target: ast.AST, source: ast.AST) -> None:
        if isinstance(target, ast.Tuple) and isinstance(source, ast.Tuple):
            for each, of in zip(target.elts, source.elts, strict=False):
                self.assign(each, of)
        value = self.value(source)
        if isinstance(target, ast.Name):
            self.scopes[-1][target.id] = value
        elif isinstance(target, ast.Attribute) and value is not None:
            self.known[target.attr] = value

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            self.visit(item)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, item.context_expr)
        for each in node.body:
            self.visit(each)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        self.scopes.append({argument.arg: None for argument in given})
        self.function.append(node.name)
        self.generic_visit(node)
        self.scopes.pop()
        self.function.pop()

    def visit_Return(self, node: ast.Return) -> None:
        self.generic_visit(node)
        value = self.value(node.value)
        if self.function and isinstance(value, Instance):
            self.known[self.function[-1]] = _Returns(value)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Programs for other processes are texts."""
        if isinstance(node.value, str) and re.search(r"^\s*import cupy", node.value, re.M):
            with suppress(SyntaxError):  # a part of one
                self.visit(ast.parse(inspect.cleandoc(node.value)))


class _Returns(NamedTuple):
    """A function of ours that returns this."""

    value: Instance


def _has(type_: type, name: str) -> bool:
    """Whether objects of a class have an attribute: what is set as they are made, its doc lists."""
    listed = (f"{each.__name__}.{name} " in (each.__doc__ or "") for each in type_.__mro__)
    return hasattr(type_, name) or any(listed)


def _result(function: Any) -> Any:
    """What a call gives."""
    if isinstance(function, _Returns):
        return function.value
    if isinstance(function, type):
        return Instance(function)
    if function is None or isinstance(function, Instance):
        return None
    annotated = getattr(function, "__annotations__", {}).get("return", "")
    says = f"{annotated} {(function.__doc__ or '').partition(chr(10))[0].partition('->')[2]}"
    if re.search("ndarray", says, re.IGNORECASE):
        return Instance(cupy.ndarray)
    if function is cupy.cuda.get_current_stream:
        return Instance(cupy.cuda.Stream)
    return None


def keywords(function: Any) -> set[str] | None:
    """The keywords that a function or class takes; None if any, or if it does not say."""
    if function is None or isinstance(function, (Instance, _Returns)) or not callable(function):
        return None
    try:
        parameters = inspect.signature(function).parameters.values()
        if any(each.kind is each.VAR_KEYWORD for each in parameters):
            return None
        return {each.name for each in parameters}
    except (TypeError, ValueError):  # compiled: its first line says
        first = (function.__doc__ or "").partition("\n")[0]
        inside = re.match(r"[\w.]+\((.*)\)", first)
        if inside is None or "**" in inside[1]:
            return None
        return set(re.findall(r"(\w+)(?: *=[^,]*)?(?:,|$)", inside[1]))


def programs(*folders: Path) -> Iterator[Path]:
    """The Python files of some folders."""
    for folder in folders:
        yield from sorted(folder.glob("*.py"))


def report(*folders: Path) -> tuple[list[str], int]:
    """A line for each fault in some folders' files, and how many names were looked up."""
    found, count = faults({path: path.read_text(encoding="utf-8") for path in programs(*folders)})
    return [f"{path}:{f.line}: {f.text}" for path, each in found.items() for f in each], count
