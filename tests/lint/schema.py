"""As much of JSON Schema (draft 4) as the schema of SARIF 2.1.0 uses; `check` gives what is wrong."""

from __future__ import annotations

import re
from typing import Any

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_of(value: Any, name: str) -> bool:
    if name in ("integer", "number"):
        return isinstance(value, int if name == "integer" else int | float) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def check(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "") -> list[str]:
    """Complaints, each with its place."""
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return check(value, target, root, at)
    wrong: list[str] = []
    kinds = schema.get("type", [])
    if kinds and not any(is_of(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return [f"{at}: {value!r} is no {kinds}"]
    if "enum" in schema and value not in schema["enum"]:
        wrong.append(f"{at}: {value!r} is none of {schema['enum']}")
    for word in ("anyOf", "oneOf"):
        if word in schema and all(check(value, choice, root, at) for choice in schema[word]):
            wrong.append(f"{at}: none of {word}")
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        wrong.append(f"{at}: {value!r} is not like {schema['pattern']}")
    if is_of(value, "number") and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        wrong.append(f"{at}: {value} is out of bounds")
    if isinstance(value, list):
        wrong += _list(value, schema, root, at)
    if isinstance(value, dict):
        wrong += _object(value, schema, root, at)
    return wrong


def _list(value: list[Any], schema: dict[str, Any], root: dict[str, Any], at: str) -> list[str]:
    wrong = [complaint for number, item in enumerate(value) for complaint in check(item, schema.get("items", {}), root, f"{at}[{number}]")]
    if len(value) < schema.get("minItems", 0):
        wrong.append(f"{at}: too few")
    if schema.get("uniqueItems") and len({repr(item) for item in value}) < len(value):
        wrong.append(f"{at}: one stands twice")
    return wrong


def _object(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], at: str) -> list[str]:
    known = schema.get("properties", {})
    wrong = [f"{at}: no {name}" for name in schema.get("required", []) if name not in value]
    others = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in known:
            wrong += check(item, known[name], root, f"{at}.{name}")
        elif others is False:
            wrong.append(f"{at}: {name} is unknown")
        elif isinstance(others, dict):
            wrong += check(item, others, root, f"{at}.{name}")
    return wrong
