"""The part of CEL that the rules of pie's CRD use, with the same meaning as in the API server.

CEL's operators bind as Python's do once `&&`, `||` and `!` are written `and`, `or` and `~`, so Python's
parser reads a rule; what CEL writes otherwise is then rewritten, and what is not known here is refused.
https://github.com/google/cel-spec
"""

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pie.core.parse import go_duration_seconds
from pie.core.quantity import quantity

Expression = Callable[[Mapping[str, Any]], Any]

_WORD: Final = re.compile(
    r"""(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|&&|\|\||!(?!=)|\btrue\b|\bfalse\b"""
)
_PYTHON: Final = {"&&": " and ", "||": " or ", "!": "~", "true": "True", "false": "False"}


class CelError(ValueError):
    """A rule cannot be read, or cannot be evaluated on this object."""


def matches(text: str, pattern: str) -> bool:
    """Search a Go regular expression: there `$` is the end, not the last line's end."""
    pattern = f"{pattern[:-1]}\\Z" if pattern.endswith("$") else pattern
    return re.search(pattern, text, re.ASCII) is not None


def compiled(text: str) -> Expression:
    """Return an expression as a function of its variables; raises CelError for unsupported CEL."""
    # A string in brackets cannot grow together with the next one, nor take a prefix, as Python's would.
    python = _WORD.sub(lambda word: f"({word[0]})" if word["string"] else _PYTHON[word[0]], text)
    try:
        tree = _Rewriting().visit(ast.parse(f"({python})", mode="eval"))
    except (SyntaxError, CelError) as error:
        raise CelError(f"cannot read {text!r}: {error}") from error
    code = compile(ast.fix_missing_locations(tree), text, "eval")
    known = {"__builtins__": {}, **_FUNCTIONS}
    return lambda scope: eval(code, {**known, **scope})  # noqa: S307  only what `_Rewriting` lets through


class _Rewriting(ast.NodeTransformer):
    """Rewrites a rule that was read by Python's parser into Python."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if not isinstance(node, _KNOWN):
            raise CelError(f"{ast.unparse(node)} is not known here")
        return super().generic_visit(node)

    def visit_Invert(self, _node: ast.Invert) -> ast.AST:
        return ast.Not()

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return ast.Subscript(self.visit(node.value), ast.Constant(node.attr), ast.Load())

    def visit_Call(self, node: ast.Call) -> ast.AST:
        match node:
            case ast.Call(ast.Name("has"), [ast.Attribute(value, name)]):
                return ast.Compare(ast.Constant(name), [ast.In()], [self.visit(value)])
            case ast.Call(ast.Attribute(value, "all" | "exists" as name), [ast.Name(each), body]):
                over = ast.comprehension(ast.Name(each, ast.Store()), self.visit(value), [], 0)
                arguments: list[ast.expr] = [ast.GeneratorExp(self.visit(body), [over])]
            case ast.Call(ast.Attribute(value, name), rest) if name in _FUNCTIONS:
                arguments = [self.visit(each) for each in (value, *rest)]
            case ast.Call(ast.Name(name), rest) if name in _FUNCTIONS:
                arguments = [self.visit(each) for each in rest]
            case _:
                raise CelError(f"{ast.unparse(node.func)} is not known here")
        return ast.Call(ast.Name(name, ast.Load()), arguments, [])


_OPERATORS: Final = (ast.And, ast.Or, ast.Add, ast.Sub, ast.Mult, ast.cmpop, ast.Load)
_OPERATIONS: Final = (ast.UnaryOp, ast.BoolOp, ast.BinOp, ast.Compare, ast.Subscript)
_KNOWN: Final = (ast.Expression, ast.Constant, ast.Name, ast.List, *_OPERATIONS, *_OPERATORS)
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "all": all,
    "exists": any,
    "size": len,
    "matches": matches,
    "startsWith": str.startswith,
    "string": lambda value: str(value).lower() if isinstance(value, bool) else str(value),
    "isQuantity": lambda text: quantity(text) is not None,
    "quantity": quantity,
    "duration": go_duration_seconds,
    "getMilliseconds": lambda seconds: round(seconds * 10**9) // 10**6,
    "isGreaterThan": lambda left, right: left > right,
    "isLessThan": lambda left, right: left < right,
    "compareTo": lambda left, right: (left > right) - (left < right),
}
"""Functions, and methods, whose object is the first argument."""
