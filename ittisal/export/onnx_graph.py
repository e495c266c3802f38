"""A graph of ONNX operators while it is built: its tensors are written down like arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8  # ONNX 1.12, the first with opset 17
MAPS = (2, 3)  # the axes of rows and columns; tensors are of (batch, channel, row, column)


class Node(NamedTuple):
    """One operator: what it is called, reads and writes, and its attributes."""

    name: str
    op: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


class Tensor:
    """What a node of a graph writes, or what is given to the graph.

    Numbers and arrays beside it in an expression become float32 constants.
    """

    __array_ufunc__ = None  # an array on the left leaves the operation to the tensor

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def __add__(self, other: Any) -> Tensor:
        return self.graph.add("Add", self, other)

    def __radd__(self, other: Any) -> Tensor:
        return self.graph.add("Add", other, self)

    def __sub__(self, other: Any) -> Tensor:
        return self.graph.add("Sub", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return self.graph.add("Sub", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return self.graph.add("Mul", self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return self.graph.add("Mul", other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return self.graph.add("Div", self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return self.graph.add("Div", other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return self.graph.add("MatMul", self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return self.graph.add("MatMul", other, self)

    def __neg__(self) -> Tensor:
        return self.graph.add("Neg", self)

    def __gt__(self, other: Any) -> Tensor:
        return self.graph.add("Greater", self, other)

    def __ge__(self, other: Any) -> Tensor:
        return self.graph.add("GreaterOrEqual", self, other)

    def __le__(self, other: Any) -> Tensor:
        return self.graph.add("LessOrEqual", self, other)

    def __and__(self, other: Any) -> Tensor:
        return self.graph.add("And", self, other)

    def absolute(self) -> Tensor:
        """|x|."""
        return self.graph.add("Abs", self)

    def positive(self) -> Tensor:
        """max(x, 0)."""
        return self.graph.add("Relu", self)

    def root(self) -> Tensor:
        """sqrt(x)."""
        return self.graph.add("Sqrt", self)

    def maximum(self, *others: Any) -> Tensor:
        """The greatest of several tensors, sample by sample."""
        return self.graph.add("Max", self, *others)

    def minimum(self, *others: Any) -> Tensor:
        """The least of them."""
        return self.graph.add("Min", self, *others)

    def where(self, yes: Any, no: Any) -> Tensor:
        """`yes` where this is true, `no` elsewhere."""
        return self.graph.add("Where", self, yes, no)

    def cast(self, dtype: Any) -> Tensor:
        """The same as another type."""
        return self.graph.add("Cast", self, to=np.dtype(dtype))

    def highest(self, axes: Sequence[int] = MAPS) -> Tensor:
        """The maximum over some axes, which become 1; by default of each map."""
        return self.graph.add("ReduceMax", self, axes=list(axes), keepdims=1)

    def lowest(self, axes: Sequence[int] = MAPS) -> Tensor:
        """The minimum."""
        return self.graph.add("ReduceMin", self, axes=list(axes), keepdims=1)

    def mean(self, axes: Sequence[int] = MAPS) -> Tensor:
        """The mean."""
        return self.graph.add("ReduceMean", self, axes=list(axes), keepdims=1)

    def total(self, axes: Sequence[int] = MAPS) -> Tensor:
        """The sum."""
        return self.graph.add("ReduceSum", self, np.array(axes), keepdims=1)

    def reshape(self, *shape: int) -> Tensor:
        """The same numbers in another shape."""
        return self.graph.add("Reshape", self, np.array(shape, np.int64))

    def transpose(self, *axes: int) -> Tensor:
        """The axes in another order."""
        return self.graph.add("Transpose", self, perm=list(axes))

    def take(self, indices: Any, axis: int) -> Tensor:
        """Some of the entries along an axis."""
        return self.graph.add("Gather", self, np.array(indices, np.int64), axis=axis)

    def slice(self, axis: int, start: int, stop: int) -> Tensor:
        """A range of the entries along an axis."""
        ends = (np.array([number]) for number in (start, stop, axis))
        return self.graph.add("Slice", self, *ends)


class Graph:
    """Nodes in order, and the constants that they read; equal ones are kept once."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self._names: dict[tuple[Any, ...], str] = {}  # of constants
        self._count = 0
        self._stage = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Nodes added meanwhile are named after a stage."""
        before, self._stage = self._stage, f"{name}/"
        try:
            yield
        finally:
            self._stage = before

    def add(self, op: str, *inputs: Any, **attributes: Any) -> Tensor:
        """A node, and what it writes."""
        names = tuple((x if isinstance(x, Tensor) else self.constant(x)).name for x in inputs)
        name = f"{self._stage}{op}_{self._count}"
        self._count += 1
        self.nodes.append(Node(name, op, names, name, attributes))
        return Tensor(self, name)

    def give(self, tensor: Tensor, name: str) -> None:
        """An output of the graph by its name."""
        self.nodes.append(Node(name, "Identity", (tensor.name,), name, {}))

    def concatenate(self, tensors: Sequence[Tensor], axis: int) -> Tensor:
        """Several tensors side by side along an axis."""
        return self.add("Concat", *tensors, axis=axis) if len(tensors) > 1 else tensors[0]

    def repeat(
        self,
        step: Callable[[Tensor], Tensor],
        state: Tensor,
        shape: tuple[int, ...],
        at_most: int,
    ) -> Tensor:
        """`step` until the state, float32 of this shape, no longer grows; so many times at most."""
        outer, self.nodes = self.nodes, []
        prefix = f"{self._stage}repeated_{self._count}"
        before = Tensor(self, f"{prefix}/before")
        after = step(before)
        grew = (after > before).cast(np.float32).highest(range(len(shape))).reshape() > 0.5
        inner, self.nodes = self.nodes, outer
        body = Body(prefix, inner, before.name, after.name, grew.name, shape)
        return self.add("Loop", np.array(at_most), np.array(True), state, body=body)

    def constant(self, value: Any) -> Tensor:
        """Numbers and arrays of floats as float32, arrays of whole numbers as int64."""
        array = np.asarray(value)
        if array.dtype != bool:
            whole = isinstance(value, np.ndarray) and array.dtype.kind == "i"
            array = np.ascontiguousarray(array, np.int64 if whole else np.float32).reshape(
                array.shape
            )
        key = (array.tobytes(), array.shape, array.dtype.str)
        name = self._names.setdefault(key, f"constant_{len(self._names)}")
        self.constants[name] = array
        return Tensor(self, name)

    def prune(self, outputs: Iterable[str]) -> None:
        """Remove nodes and constants that no output needs."""
        needed = set(outputs)
        kept = []
        for node in reversed(self.nodes):
            if node.output in needed:
                kept.append(node)
                needed.update(node.inputs)
                for each in node.attributes.values():
                    if isinstance(each, Body):
                        needed.update(name for inner in each.nodes for name in inner.inputs)
        self.nodes = kept[::-1]
        self.constants = {key: array for key, array in self.constants.items() if key in needed}


class Body(NamedTuple):
    """What a loop repeats: one state before and after it, and whether it grew."""

    name: str
    nodes: list[Node]
    before: str
    after: str
    grew: str
    shape: tuple[int, ...]


class Value(NamedTuple):
    """A tensor that is given to a graph, or that it gives."""

    name: str
    dtype: Any
    shape: tuple[int, ...]
    description: str = ""


def to_onnx(
    graph: Graph, name: str, inputs: Sequence[Value], outputs: Sequence[Value]
) -> onnx.ModelProto:
    """The graph as a model of the package `onnx`, which must be there."""
    from onnx import helper, numpy_helper

    def value(given: Value) -> onnx.ValueInfoProto:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(given.dtype))
        return helper.make_tensor_value_info(
            given.name, kind, given.shape, doc_string=given.description
        )

    def attribute(given: Any) -> Any:
        if isinstance(given, np.dtype):
            return helper.np_dtype_to_tensor_dtype(given)
        if isinstance(given, Body):
            inputs = [
                Value(f"{given.name}/count", np.int64, ()),
                Value(f"{given.name}/going_on", bool, ()),
                Value(given.before, np.float32, given.shape),
            ]
            outputs = [
                Value(given.grew, bool, ()),
                Value(given.after, np.float32, given.shape),
            ]
            return helper.make_graph(
                nodes(given.nodes), given.name, list(map(value, inputs)), list(map(value, outputs))
            )
        return given

    def nodes(given: Sequence[Node]) -> list[onnx.NodeProto]:
        return [
            helper.make_node(
                node.op,
                node.inputs,
                [node.output],
                name=node.name,
                **{key: attribute(each) for key, each in node.attributes.items()},
            )
            for node in given
        ]

    made = helper.make_graph(
        nodes(graph.nodes),
        name,
        list(map(value, inputs)),
        list(map(value, outputs)),
        [numpy_helper.from_array(array, key) for key, array in graph.constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION)
