"""The graph of an entry point as text and as a picture."""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple

from . import _ferrule
from ._layout import Box, place

__all__ = ["Graph"]


class _Value(NamedTuple):
    name: str
    role: str  # "input", "constant", "state", "temp"
    dtype: str
    dims: tuple[int | str | None, ...]

    @property
    def type(self) -> str:
        """ "float32[batch, 4]"; a size that follows from others is "?"."""
        shape = ", ".join("?" if d is None else str(d) for d in self.dims)
        return f"{self.dtype}[{shape}]"


class _Node(NamedTuple):
    op: str
    where: str  # module and source line
    args: list[tuple[str, Any]]  # tensors as their numbers, all else as text
    outputs: list[int]
    regions: list[int]

    def inputs(self) -> list[int]:
        found: list[int] = []
        for _, value in self.args:
            if isinstance(value, int):
                found.append(value)
            elif isinstance(value, list):
                found += [v for v in value if v >= 0]
        return found


class Graph:
    """What an entry point computes: `print` it, or draw it with `svg`.

    Made by `Program.graph` and `Entry.graph`. Notebooks show the picture.

    Example:
        >>> import ferrule as fe
        >>> model = fe.nn.Sequential(fe.nn.ReLU(), fe.nn.Tanh())
        >>> print(fe.trace(model, fe.rand(3)).graph)
        forward(x: float32[3]) -> output: float32[3]
          %1: float32[3] = relu(x)  # 0 (ReLU)
          %2: float32[3] = tanh(%1)  # 1 (Tanh)
    """

    def __init__(self, program: _ferrule.Program, key: str) -> None:
        self._program = program
        _, inputs, outputs, _, _ = next(s for s in program.signatures() if s[0] == key)
        self._key = key
        self._names = [name for name, _ in inputs], [name for name, _ in outputs]
        self._read(program.graph_index(key))
        self._name_sizes(program.known_sizes(key))

    def _read(self, index: int) -> None:
        self._title, values, nodes, self._inputs, self._outputs = (
            self._program.graph_at(index)
        )
        self._values = [_Value(n, r, *t) for n, r, t in values]
        self._nodes = [_Node(*n) for n in nodes]

    def _name_sizes(self, known: list[list[int]]) -> None:
        """Says which sizes that follow from others are always the same or a symbol."""
        symbols = [name for name, *_ in self._program.sizes()]

        def name(dim: int | str | None, size: int) -> int | str | None:
            if dim is not None or size == -1:
                return dim
            return size if size >= 0 else symbols[-2 - size]

        for i, sizes in enumerate(known):
            value = self._values[i]
            if len(sizes) == len(value.dims):
                dims = tuple(map(name, value.dims, sizes))
                self._values[i] = value._replace(dims=dims)

    def __len__(self) -> int:
        """The number of nodes."""
        return len(self._nodes)

    def __str__(self) -> str:
        takes, gives = self._names
        inputs = zip(takes, self._inputs, strict=True)
        outputs = zip(gives, self._outputs, strict=True)
        head = (
            f"{self._key}({', '.join(self._typed(n, v) for n, v in inputs)}) -> "
            + ", ".join(self._typed(n, v) for n, v in outputs)
        )
        return "\n".join([head, *self._lines("  ")])

    def __repr__(self) -> str:
        return f"<Graph of '{self._key}': {len(self)} nodes>"

    def _typed(self, name: str, value: int) -> str:
        return f"{name}: {self._values[value].type}"

    def _lines(self, indent: str) -> list[str]:
        lines = []
        for node in self._nodes:
            note = f"  # {node.where}" if node.where else ""
            lines.append(f"{indent}{self._line(node)}{note}")
            for region in node.regions:
                inner = object.__new__(Graph)
                inner._program = self._program
                inner._read(region)
                takes = ", ".join(
                    inner._typed(inner._name(v), v) for v in inner._inputs
                )
                gives = ", ".join(inner._name(v) for v in inner._outputs)
                lines.append(f"{indent}  {inner._title} ({takes}) -> {gives}")
                lines += inner._lines(indent + "    ")
        return lines

    def _name(self, value: int) -> str:
        return self._values[value].name or f"%{value}"

    def _line(self, node: _Node) -> str:
        args = []
        for name, value in node.args:
            if isinstance(value, int):
                args.append(self._name(value))
            elif isinstance(value, list):
                every = (self._name(v) if v >= 0 else "None" for v in value)
                args.append(f"[{', '.join(every)}]")
            else:
                args.append(f"{name}={value}")
        call = f"{node.op}({', '.join(args)})"
        results = ", ".join(self._typed(self._name(v), v) for v in node.outputs)
        return f"{results} = {call}" if results else call

    def svg(self) -> str:
        """A picture: inputs above, results below, a box for each node.

        Weights are not drawn; the text that shows when the pointer is over a box has
        all of the node.

        Example:
            >>> import ferrule as fe
            >>> program = fe.trace(lambda x: fe.relu(x).sum(), fe.rand(3))
            >>> with open("/tmp/graph.svg", "w") as file:
            ...     n = file.write(program.graph.svg())
        """
        boxes: list[Box] = []
        made_by: dict[int, int] = {}  # value -> box
        takes, gives = self._names
        for name, value in zip(takes, self._inputs, strict=True):
            made_by[value] = len(boxes)
            text = self._typed(name, value)
            boxes.append(Box([name, self._values[value].type], text, "input", []))
        for node in self._nodes:
            above = [made_by[v] for v in dict.fromkeys(node.inputs()) if v in made_by]
            text = self._line(node) + (f"\n{node.where}" if node.where else "")
            types = [self._values[v].type for v in node.outputs[:1]]
            kind = "control" if node.regions else "op"
            for v in node.outputs:
                made_by[v] = len(boxes)
            boxes.append(Box([node.op, *types], text, kind, above))
        for name, value in zip(gives, self._outputs, strict=True):
            above = [made_by[value]] if value in made_by else []
            text = self._typed(name, value)
            boxes.append(Box([name, self._values[value].type], text, "output", above))
        return _draw(boxes)

    def _repr_svg_(self) -> str:
        return self.svg()


_COLORS = {
    "input": ("#e3f4e3", "#4d8f4d"),
    "op": ("#e8eefb", "#5b76ad"),
    "control": ("#f3e8fb", "#8a5bad"),
    "output": ("#fdeedd", "#b97e3a"),
}


def _draw(boxes: list[Box]) -> str:
    picture = place(boxes)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{picture.width:.0f}" '
        f'height="{picture.height:.0f}" '
        f'viewBox="0 0 {picture.width:.0f} {picture.height:.0f}" '
        'font-family="sans-serif" font-size="12" text-anchor="middle">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#8a8a8a"/>'
        "</marker></defs>",
    ]
    for points in picture.edges:
        (x, y), *rest = points
        path = f"M{x:.1f} {y:.1f}"
        for to_x, to_y in rest:
            middle = (y + to_y) / 2
            path += (
                f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}"
            )
            x, y = to_x, to_y
        lines.append(
            f'<path d="{path}" fill="none" stroke="#8a8a8a" marker-end="url(#end)"/>'
        )
    for box, (x, y) in zip(boxes, picture.centers, strict=True):
        fill, stroke = _COLORS[box.kind]
        radius = box.height / 2 if box.kind in ("input", "output") else 4
        lines.append(
            f"<g><title>{escape(box.text)}</title>"
            f'<rect x="{x - box.width / 2:.1f}" y="{y - box.height / 2:.1f}" '
            f'width="{box.width:.1f}" height="{box.height:.1f}" rx="{radius:.0f}" '
            f'fill="{fill}" stroke="{stroke}"/>'
        )
        top = y - 7 * (len(box.lines) - 1) + 4
        for i, line in enumerate(box.lines):
            look = 'fill="#222222"' if i == 0 else 'fill="#666666" font-size="10"'
            lines.append(
                f'<text x="{x:.1f}" y="{top + 14 * i:.1f}" {look}>{escape(line)}</text>'
            )
        lines.append("</g>")
    return "\n".join([*lines, "</svg>"])
