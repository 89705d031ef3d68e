"""The syntax tree of a checked CEL expression, as far as it is needed here.

CEL returns its tree as the bytes of `cel.expr.CheckedExpr` (github.com/google/cel-spec,
proto/cel/expr/checked.proto and syntax.proto); the messages are declared here by those numbers.
"""

from collections.abc import Iterator
from typing import Any

from cel_expr_python.cel import Expression
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_DECLARATIONS = {
    "Checked": "4 expr Expr, 5 source Source",
    "Source": "4 positions Position*",
    "Position": "1 key int64, 2 value int32",
    "Expr": (
        "2 id int64, 3 const Constant|, 4 ident Ident|, 5 select Select|, 6 call Call|, "
        "7 list List|, 8 struct Struct|, 9 comprehension Comprehension|"
    ),
    "Constant": "1 null int64?, 2 bool bool?, 3 int int64?, 5 double double?, 6 string string?",
    "Ident": "1 name string",
    "Select": "1 operand Expr, 2 field string, 3 test_only bool",
    "Call": "1 target Expr, 2 function string, 3 args Expr*",
    "List": "1 elements Expr*",
    "Struct": "2 entries Entry*",
    "Entry": "3 map_key Expr, 4 value Expr",
    "Comprehension": (
        "1 iter_var string, 2 iter_range Expr, 4 accu_init Expr, 5 loop_condition Expr, "
        "6 loop_step Expr, 7 result Expr"
    ),
}
_SCALARS = {
    "int64": FieldDescriptorProto.TYPE_INT64,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "string": FieldDescriptorProto.TYPE_STRING,
}


class Tree:
    """An expression's tree; `root` is its outermost node."""

    def __init__(self, expression: Expression) -> None:
        checked = _CHECKED.FromString(AnyMessage.FromString(expression.serialize()).value)
        self.root = checked.expr
        self._positions = {one.key: one.value for one in checked.source.positions}

    def position(self, node: Any) -> int:
        """The offset of the node's operator or bracket, or else of its beginning (characters)."""
        return int(self._positions.get(node.id, 0))

    def offset(self, node: Any) -> int:
        """Where the node begins, in characters from the beginning of the text."""
        return min((self._positions.get(one.id, 0) for one in walk(node)), default=0)


def children(node: Any) -> list[Any]:
    """The nodes directly inside, in the order of the text."""
    match node_kind(node):
        case "select":
            return [node.select.operand]
        case "call":
            target = [node.call.target] if node.call.HasField("target") else []
            return [*target, *node.call.args]
        case "list":
            return list(node.list.elements)
        case "struct":
            return [part for one in node.struct.entries for part in (one.map_key, one.value)]
        case "comprehension":
            loop = node.comprehension
            return [
                loop.iter_range,
                loop.accu_init,
                loop.loop_condition,
                loop.loop_step,
                loop.result,
            ]
        case _:
            return []


def walk(node: Any) -> Iterator[Any]:
    """The node and everything inside it."""
    yield node
    for child in children(node):
        yield from walk(child)


def node_kind(node: Any) -> str | None:
    kind: str | None = node.WhichOneof(_KIND)
    return kind


def dotted(node: Any) -> str | None:
    """`task.due` for a selection or an index, None for any other node."""
    match node_kind(node):
        case "ident":
            return str(node.ident.name)
        case "select":
            around, name = dotted(node.select.operand), node.select.field
        case "call" if node.call.function == "_[_]":
            around, name = dotted(node.call.args[0]), node.call.args[1].const.string
        case _:
            return None
    return f"{around}.{name}" if around and name else None


_KIND = "kind"


def _declare() -> Any:
    file = FileDescriptorProto(name="checked.proto", package="tree", syntax="proto3")
    for message_name, declaration in _DECLARATIONS.items():
        message = file.message_type.add(name=message_name)
        if "|" in declaration:
            message.oneof_decl.add(name=_KIND)
        for words in declaration.split(", "):
            number, name, kind = words.split()
            field = message.field.add(name=name, number=int(number))
            field.label = (
                FieldDescriptorProto.LABEL_REPEATED
                if kind.endswith("*")
                else FieldDescriptorProto.LABEL_OPTIONAL
            )
            if kind.endswith("?"):
                field.proto3_optional = True
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{name}")
            if kind.endswith("|"):
                field.oneof_index = 0
            kind = kind.rstrip("*?|")
            field.type = _SCALARS.get(kind, FieldDescriptorProto.TYPE_MESSAGE)
            if kind not in _SCALARS:
                field.type_name = f".tree.{kind}"
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("tree.Checked"))


_CHECKED = _declare()
