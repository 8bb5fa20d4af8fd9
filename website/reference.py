"""Reference pages that are generated whenever the site is built, so they are always those of the code."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import typer.main

from pie.cli.app import app
from pie.core.yamltext import read_yaml
from pie.probe.main import parsers

CRD: Final = Path(__file__).parents[1] / "charts/pie/files/pieprobe.yaml"
BOUNDS: Final = {
    "minimum": "at least {:,}",
    "maximum": "at most {:,}",
    "minLength": "at least {:,} characters",
    "maxLength": "at most {:,} characters",
    "minItems": "at least {:,} entries",
    "maxItems": "at most {:,} entries",
    "maxProperties": "at most {:,} entries",
}
_FLAGS: Final = """\
# All commands and flags

What `--help` of each command says, from the code of this version. [The command line](cli.md) explains the
commands with examples.
"""
_FIELDS: Final = """\
# All fields of a PieProbe

The schema of `pie.topolvm.io/v1alpha1`, from the CRD of this version. [The PieProbe resource](spec.md)
explains it.

"""


def anchor(text: str) -> str:
    """Return a place in a page that a link can name, before the text that it is about."""
    return f'<a id="{text}"></a>'


def commands() -> Iterator[tuple[str, Any]]:
    """Yield each command with its full name, `pie check`."""
    waiting = [("pie", typer.main.get_command(app))]
    for name, command in waiting:
        if name != "pie":
            yield name, command
        waiting += [(f"{name} {each}", sub) for each, sub in getattr(command, "commands", {}).items()]


def flag_anchor(command: str, flag: str) -> str:
    """Return the anchor of a flag: `pie-check--nodes`."""
    return f"{command.replace(' ', '-')}{flag}"


def flags() -> str:
    """Return the page of all commands with all their flags."""
    parts = [_FLAGS]
    for name, command in commands():
        about = command.help.partition("\n\n")[0].replace("\n", " ")
        rows = [_row(name, each, command) for each in command.params if not each.hidden]
        parts.append(f"## {name}\n\n{about}\n\n{_table(rows) if rows else ''}")
    for probe, options in probe_options().items():
        rows = [_probe_row(f"pie probe {probe}", *option) for option in options]
        parts.append(f"## pie probe {probe}\n\nWhat the controller gives a probe pod.\n\n{_table(rows)}")
    return "\n".join(parts)


def probe_options() -> dict[str, list[tuple[tuple[str, ...], str]]]:
    """Return the options of `pie probe` by probe, with their meanings: it loads no CLI framework."""
    found: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for probe, parser in parsers()[1].items():
        options = [each for each in parser._actions if each.dest != "help"]  # noqa: SLF001  argparse lists them nowhere else
        found[probe] = [
            (tuple(each.option_strings), (each.help or "") % {"default": each.default}) for each in options
        ]
    return found


def _probe_row(command: str, names: tuple[str, ...], meaning: str) -> str:
    anchors = "".join(anchor(flag_anchor(command, name)) for name in names)
    return f"| {anchors}{_code(', '.join(names))} | {_cell(meaning)} |\n"


def _table(rows: list[str]) -> str:
    return "| Flag | Meaning |\n|---|---|\n" + "".join(rows)


def _row(name: str, parameter: Any, command: Any) -> str:
    context = command.context_class(command, info_name=name)
    shown, meaning = parameter.get_help_record(context)
    anchors = "".join(
        anchor(flag_anchor(name, flag))
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag[0] == "-"
    )
    return f"| {anchors}{_code(shown)} | {_cell(meaning)} |\n"


def fields() -> str:
    """Return the page of all fields of a PieProbe."""
    version = read_yaml(CRD.read_text())["spec"]["versions"][0]
    parts = [_FIELDS]
    for part in ("spec", "status"):
        schema = version["schema"]["openAPIV3Schema"]["properties"][part]
        parts.append(f"## {part}\n\n| Field | Type | Meaning |\n|---|---|---|\n")
        parts.extend(_field(path, field) for path, field in below(schema, part))
        rules = [rule for _, field in [(part, schema), *below(schema, part)] for rule in _rules(field)]
        if rules:
            parts.append("\nThe API server refuses an object with one of these messages:\n\n")
            parts.extend(f"- {_code(rule)}\n" for rule in dict.fromkeys(rules))
        parts.append("\n")
    return "".join(parts)


def below(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each field below a schema with its path, `spec.tolerations[].key`."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from below(field, f"{path}.{name}")
    for part, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(part), Mapping):
            yield from below(schema[part], f"{path}{mark}")


def _field(path: str, schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "integer or string" if "x-kubernetes-int-or-string" in schema else "object")
    facts = [f"default {_code(_plain(schema['default']))}"] if "default" in schema else []
    facts += [words.format(schema[key]) for key, words in BOUNDS.items() if key in schema]
    facts += (
        ["one of " + ", ".join(_code(_plain(each)) for each in schema["enum"])] if "enum" in schema else []
    )
    about = " ".join(schema.get("description", "").split())
    return f"| {anchor(path)}`{path}` | {_cell(', '.join([kind, *facts]))} | {_cell(about)} |\n"


def _rules(schema: Mapping[str, Any]) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        if "message" in rule:
            yield " ".join(rule["message"].split())
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), Mapping):
            yield from _rules(schema[part])


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"


def _cell(text: str) -> str:
    """Return a text as a cell; what looks like HTML in it is shown as it is."""
    plain = " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
    return re.sub(r"(?<!`)(--[a-z][a-z-]+)", r"`\1`", plain)


PAGES: Final = {"flags.md": flags, "fields.md": fields}
"""The pages, by their place on the site."""
