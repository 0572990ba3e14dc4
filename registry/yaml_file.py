"""Typed YAML files: every scalar is read as text, then checked by a pydantic model.

``0123456`` stays a revision and ``no`` stays a licence, because nothing is guessed before the model has
said what it wants. Errors point at file and line. Anchors, aliases and tags are refused (they are how a
small file becomes a large one).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from registry.errors import Refusal, did_you_mean
from registry.yaml_text import read_raw


class StrictModel(BaseModel):
    """Base of every model read from a file: unknown fields are errors, ``null`` and empty mean "not established"."""

    # infinite and undefined numbers have no canonical form: what holds one could not be told from anything else
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _null_text_is_none(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {
            key: None if value in ("null", "", "~") and isinstance(value, str) else value for key, value in data.items()
        }


Model = TypeVar("Model", bound=BaseModel)


def load(path: Path, model: type[Model]) -> Model:
    """Read ``path`` as YAML into ``model``; raises Refusal naming ``file:line`` of the first wrong field."""
    raw, node = read_raw(path)
    if not isinstance(raw, dict):
        raise Refusal(str(path), "the file is not a mapping of fields", "start it with 'name: …'")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise _refusal(path, node, error, model) from None


def _refusal(path: Path, node: Any, error: ValidationError, model: type[BaseModel]) -> Refusal:
    first = _most_telling(error)
    location = [part for part in first["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    line = _line_of(node, location)
    field = ".".join(str(part) for part in location) or "file"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        hint = did_you_mean(str(location[-1]), _fields_at(model, location[:-1]))
        return Refusal(f"{path}:{line}", f"unknown field '{field}'{hint}{more}", "correct or remove the field")
    return Refusal(f"{path}:{line}", f"{field}: {first['msg']}{more}", "correct the value")


def _most_telling(error: ValidationError) -> Any:
    """The first error; where a field is missing and another unknown, the unknown one: it is most likely misspelt."""
    errors = error.errors(include_url=False)
    unknown = [one for one in errors if one["type"] == "extra_forbidden"]
    return unknown[0] if unknown and errors[0]["type"] == "missing" else errors[0]


def _fields_at(model: Any, location: list[Any]) -> list[str]:
    """Names of the fields a nested location allows, as far as they can be found without guessing."""
    for part in location:
        if isinstance(part, int):
            continue
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return []
        model = _inner_model(field.annotation)
    return list(getattr(model, "model_fields", {}))


def _inner_model(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        inner = _inner_model(argument)
        if inner is not None:
            return inner
    return None


def _line_of(node: Any, location: list[Any]) -> int:
    """Line (from 1) of the deepest node on ``location`` that exists in the file."""
    line = 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, node = key.start_mark.line + 1, value
                    break
            else:
                return line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
