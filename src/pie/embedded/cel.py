"""As much of CEL as the rules of pie's CRD use, so that they mean here what they mean to the API server.

The CRD's own text is evaluated, so a changed rule needs no second version in Python; one that uses more of
the language than is known here fails when the CRD is loaded. https://github.com/google/cel-spec
"""

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

from pie.embedded.quantity import duration, quantity

Scope = Mapping[str, Any]
Expression = Callable[[Scope], Any]

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+)|(?P<string>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<symbol>\|\||&&|[<>=!]=|[<>!+\-*/%()\[\].,?:]))"
)
_BINARY: Final[tuple[dict[str, Callable[[Any, Any], Any]], ...]] = (
    {
        "==": lambda left, right: left == right,
        "!=": lambda left, right: left != right,
        "<=": lambda left, right: left <= right,
        ">=": lambda left, right: left >= right,
        "<": lambda left, right: left < right,
        ">": lambda left, right: left > right,
        "in": lambda left, right: left in right,
    },
    {"+": lambda left, right: left + right, "-": lambda left, right: left - right},
    {"*": lambda left, right: left * right},
)


class CelError(ValueError):
    """A rule cannot be read, or cannot be evaluated on this object."""


def compiled(text: str) -> Expression:
    """Return an expression as a function of its variables; raises CelError for what is not understood."""
    parser = _Parser(text)
    expression = parser.ternary()
    parser.expect("")
    return expression


class _Parser:
    """Recursive descent, one method for each level of precedence."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:
                raise CelError(f"cannot read {text[position : position + 20]!r} in {text!r}")
            self._tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            position = match.end()
        self._tokens.append(("end", ""))

    def _accept(self, *words: str) -> str | None:
        kind, word = self._tokens[0]
        if kind != "string" and word in words:
            self._tokens.pop(0)
            return word
        return None

    def expect(self, word: str) -> None:
        """Take this symbol; raise CelError if another comes."""
        if self._accept(word) is None:
            raise CelError(f"expected {word or 'the end'!r} before {self._tokens[0][1]!r} in {self._text!r}")

    def ternary(self) -> Expression:
        """Read `a ? b : c`, or what binds tighter."""
        condition = self._or()
        if self._accept("?") is None:
            return condition
        yes = self.ternary()
        self.expect(":")
        no = self.ternary()
        return lambda scope: yes(scope) if condition(scope) else no(scope)

    def _or(self) -> Expression:
        sides = [self._and()]
        while self._accept("||"):
            sides.append(self._and())
        return sides[0] if len(sides) == 1 else lambda scope: any(side(scope) for side in sides)

    def _and(self) -> Expression:
        sides = [self._binary(0)]
        while self._accept("&&"):
            sides.append(self._binary(0))
        return sides[0] if len(sides) == 1 else lambda scope: all(side(scope) for side in sides)

    def _binary(self, level: int) -> Expression:
        if level == len(_BINARY):
            return self._unary()
        left = self._binary(level + 1)
        while word := self._accept(*_BINARY[level]):
            left = _operation(_BINARY[level][word], left, self._binary(level + 1))
        return left

    def _unary(self) -> Expression:
        if self._accept("!"):
            operand = self._unary()
            return lambda scope: not operand(scope)
        if self._accept("-"):
            operand = self._unary()
            return lambda scope: -operand(scope)
        return self._member()

    def _member(self) -> Expression:
        value = self._primary()
        while True:
            if self._accept("."):
                name = self._tokens.pop(0)[1]
                value = self._method(value, name) if self._accept("(") else _field(value, name)
            elif self._accept("["):
                value = _index(value, self.ternary())
                self.expect("]")
            else:
                return value

    def _method(self, value: Expression, name: str) -> Expression:
        if name in {"all", "exists"}:
            variable = self._tokens.pop(0)[1]
            self.expect(",")
            body = self.ternary()
            self.expect(")")
            every = all if name == "all" else any
            return lambda scope: every(body({**scope, variable: each}) for each in value(scope))
        method = _METHODS.get(name)
        if method is None:
            raise CelError(f"the method {name} is not known, in {self._text!r}")
        arguments = self._arguments(")")
        return lambda scope: method(value(scope), *(each(scope) for each in arguments))

    def _arguments(self, end: str) -> list[Expression]:
        found: list[Expression] = []
        while self._accept(end) is None:
            if found:
                self.expect(",")
            found.append(self.ternary())
        return found

    def _primary(self) -> Expression:
        kind, word = self._tokens.pop(0)
        if kind == "number":
            return lambda _: int(word)
        if kind == "string":
            text = re.sub(r"\\(.)", r"\1", word[1:-1])
            return lambda _: text
        if word == "(":
            inner = self.ternary()
            self.expect(")")
            return inner
        if word == "[":
            items = self._arguments("]")
            return lambda scope: [item(scope) for item in items]
        if kind != "name":
            raise CelError(f"unexpected {word!r} in {self._text!r}")
        if word in {"true", "false"}:
            return lambda _: word == "true"
        if self._accept("("):
            return self._call(word)
        return lambda scope: scope[word]

    def _call(self, name: str) -> Expression:
        (argument,) = self._arguments(")")
        if name == "has":
            return lambda scope: _has(argument, scope)
        function = _FUNCTIONS.get(name)
        if function is None:
            raise CelError(f"the function {name} is not known, in {self._text!r}")
        return lambda scope: function(argument(scope))


def _operation(apply: Callable[[Any, Any], Any], left: Expression, right: Expression) -> Expression:
    return lambda scope: apply(left(scope), right(scope))


def _field(value: Expression, name: str) -> Expression:
    def field(scope: Scope) -> Any:
        thing = value(scope)
        if name not in thing:
            raise CelError(f"no such key: {name}")
        return thing[name]

    return field


def _index(value: Expression, key: Expression) -> Expression:
    return lambda scope: value(scope)[key(scope)]


def _has(argument: Expression, scope: Scope) -> bool:
    try:
        argument(scope)
    except CelError:
        return False
    return True


def _must(value: Fraction | None, what: str) -> Fraction:
    if value is None:
        raise CelError(f"not a {what}")
    return value


def re_of(pattern: str) -> str:
    """Return a Go regular expression as Python's: there `$` is the end, not the last line's end."""
    return f"{pattern[:-1]}\\Z" if pattern.endswith("$") else pattern


def _string(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _compare(left: Fraction, right: Fraction) -> int:
    return (left > right) - (left < right)


_FUNCTIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "size": len,
    "string": _string,
    "isQuantity": lambda text: quantity(text) is not None,
    "quantity": lambda text: _must(quantity(text), "quantity"),
    "duration": lambda text: _must(duration(text), "duration"),
}
_METHODS: Final[dict[str, Callable[..., Any]]] = {
    "matches": lambda text, pattern: re.search(re_of(pattern), text, re.ASCII) is not None,
    "startsWith": lambda text, start: text.startswith(start),
    "endsWith": lambda text, end: text.endswith(end),
    "contains": lambda text, part: part in text,
    "size": len,
    "getMilliseconds": lambda seconds: int(seconds * 1000),
    "isGreaterThan": lambda left, right: left > right,
    "isLessThan": lambda left, right: left < right,
    "compareTo": _compare,
}
