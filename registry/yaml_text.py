"""YAML as text: every scalar stays the characters that were written. No models, so it is cheap to import.

Anchors, aliases and tags are refused (they are how a small file becomes a large one), and so are fields given
twice (the first would vanish without a word).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from registry.errors import Refusal

MAX_BYTES = 4_000_000
"""A card or recipe larger than this is not one that a person wrote."""
MAX_DEPTH = 64
"""Lists and mappings within each other. Building nodes of a bottomless file overflows the stack of the C parser."""

_Loader: type[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def read_raw(path: Path) -> tuple[Any, Any]:
    """``(value, node tree)`` of a YAML file with every scalar as text; the nodes carry line numbers."""
    with _reading(path) as data:
        _refuse_unsafe(data)
        loader = _Loader(data)
        try:
            node = loader.get_single_node()
            _refuse_duplicates(node)
            return (loader.construct_document(node) if node is not None else None), node
        finally:
            loader.dispose()


def read_text(path: Path) -> Any:
    """The value alone, three times as fast: one pass over the events of the file, without nodes."""
    with _reading(path) as data:
        loader = _Loader(data)
        try:
            loader.get_event()  # start of the stream
            if isinstance(loader.get_event(), yaml.StreamEndEvent):
                return None
            value = _built(loader, loader.get_event())
            loader.get_event()  # end of the document
            extra = loader.get_event()
            if not isinstance(extra, yaml.StreamEndEvent):
                raise _NotOurs(extra, "more than one document", "keep the first one only")
        finally:
            loader.dispose()
    return value


class _NotOurs(Exception):
    """YAML that is valid but that no file of ours may hold."""

    def __init__(self, event: yaml.Event | yaml.Node, what: str, way_out: str) -> None:
        super().__init__(what)
        self.line = event.start_mark.line + 1 if event.start_mark else 0
        self.what = what
        self.way_out = way_out


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[bytes]:
    """The bytes of a file; whatever goes wrong with them, here or in the block, becomes a Refusal."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refusal(str(path), f"cannot be read ({error.strerror})", "check the name and its permissions") from None
    except ValueError:  # a NUL or half a surrogate pair in the name
        raise Refusal(repr(str(path)), "is no name of a file", "check the name") from None
    if len(data) > MAX_BYTES:
        raise Refusal(str(path), f"has more than {MAX_BYTES:,} bytes", "split the file")
    try:
        yield data
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise Refusal(f"{path}{line}", f"not valid YAML ({problem})", "check indentation and quotes there") from None
    except _NotOurs as error:
        raise Refusal(f"{path}:{error.line}", error.what, error.way_out) from None
    except RecursionError:
        raise Refusal(str(path), "nested too deeply", "flatten the file") from None


def _refuse_unsafe(data: bytes) -> None:
    """A pass over the events alone: what must not be built is refused before anything is."""
    depth = 0
    for event in yaml.parse(data, Loader=_Loader):
        _refuse_anchor(event)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _NotOurs(event, "nested too deeply", "flatten the file")


def _refuse_anchor(event: yaml.Event) -> None:
    """Aliases let a kilobyte expand to gigabytes, tags name types: no file of ours needs them."""
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise _NotOurs(event, "anchors and aliases are not allowed", "write the value out")
    if tag := getattr(event, "tag", None):
        raise _NotOurs(event, f"the tag '{tag}' is not allowed", "write the value alone, or put it in quotes")


def _refuse_duplicates(node: Any) -> None:
    """Refuse a field that a mapping has twice: the last one would win."""
    seen: set[str] = set()
    for entry in node.value if isinstance(node, yaml.CollectionNode) else ():
        key, value = entry if isinstance(node, yaml.MappingNode) else (None, entry)
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                raise _given_twice(key)
            seen.add(key.value)
        _refuse_duplicates(value)


def _given_twice(key: yaml.Event | yaml.Node) -> _NotOurs:
    return _NotOurs(key, f"the field '{getattr(key, 'value', '')}' is given twice", "remove one of the two")


def _built(loader: Any, event: Any) -> Any:
    """The value that begins with ``event``; reads the loader up to its end."""
    _refuse_anchor(event)
    kind = type(event)
    if kind is yaml.ScalarEvent:
        return event.value
    if kind is yaml.MappingStartEvent:
        return _built_mapping(loader)
    items = []
    while type(event := loader.get_event()) is not yaml.SequenceEndEvent:
        items.append(_built(loader, event))
    return items


def _built_mapping(loader: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    while type(event := loader.get_event()) is not yaml.MappingEndEvent:
        key = _built(loader, event)
        if not isinstance(key, str):
            raise _NotOurs(event, "a key that is not plain text", "write the key as text")
        if key in fields:
            raise _given_twice(event)
        fields[key] = _built(loader, loader.get_event())
    return fields
