"""The CRD explains itself: to `kubectl explain`, to the API server, and to whoever reads docs/spec.md."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pie.core.yamltext import read_yaml

ROOT = Path(__file__).parents[2]
VERSION = read_yaml((ROOT / "charts/pie/files/pieprobe.yaml").read_text())["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
PAGE = (ROOT / "docs/spec.md").read_text()


def nodes(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema in the schema, with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for part in ("items", "additionalProperties"):
        if part in schema:
            yield from nodes(schema[part], f"{path}[]")


def test_every_field_has_a_description() -> None:
    bare = [path for path, schema in nodes(SCHEMA) if "description" not in schema]
    assert [path for path in bare if not path.endswith("[]") and path not in {"", ".metadata"}] == []


def test_every_rule_has_a_message_for_people() -> None:
    rules = [
        (path, rule) for path, schema in nodes(SCHEMA) for rule in schema.get("x-kubernetes-validations", [])
    ]
    assert len(rules) > 20
    assert [path for path, rule in rules if not {"message", "messageExpression"} & rule.keys()] == []


def test_every_list_and_map_is_bounded() -> None:
    unbounded = [
        path
        for path, schema in nodes(SCHEMA)
        if (schema.get("type") == "array" and "maxItems" not in schema)
        or ("additionalProperties" in schema and "maxProperties" not in schema)
    ]
    assert unbounded == []


def test_every_field_of_the_spec_is_documented_with_its_default() -> None:
    rows = {line.split("`")[1]: line for line in PAGE.splitlines() if line.startswith("| `")}
    for name, schema in SCHEMA["properties"]["spec"]["properties"].items():
        assert name in rows, f"docs/spec.md has no row for spec.{name}"
        if "default" in schema:
            default = (
                str(schema["default"]).lower() if schema.get("type") == "boolean" else str(schema["default"])
            )
            assert f"`{default}`" in rows[name], f"docs/spec.md does not give the default of spec.{name}"


def test_every_field_of_the_status_and_every_column_is_documented() -> None:
    spec, status = PAGE.split("## status", 1)
    assert "| `probePeriod` |" in spec
    for name in SCHEMA["properties"]["status"]["properties"]:
        assert f"| `{name}` |" in status, f"docs/spec.md has no row for status.{name}"
    shows = status[status.index("`kubectl get pieprobe` shows") :].split("\n\n")[0].lower()
    for column in VERSION["additionalPrinterColumns"]:
        assert column["name"].lower() in shows, f"docs/spec.md does not name the column {column['name']}"
