"""Change values in a YAML text and leave every other character as it is.

The new values are compared with the document's nodes, and only the places that differ are
rewritten: comments, order, quotes, alignment and line breaks of everything else stay. The result
is read again and must hold exactly the new values; where it does not (anchors, layouts that
nobody writes), ruamel's round trip takes over, which keeps comments and order but not the layout.
"""

from __future__ import annotations

import difflib
import io
import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sbc.config.problems import ConfigError, Problem
from sbc.config.render import entry_line, entry_lines, render
from sbc.config.source import Source, parse

__all__ = ["rewrite"]


def rewrite(source: Source, data: object) -> str:
    """The text of `source` with the values `data` instead of its own.

    Args:
        data: what `parse(result).data` shall be: dict, list, str, int, float, bool, None.

    Raises ConfigError if nothing that holds `data` can be made of this text.
    """
    if source.root is not None and not _has_aliases(source.root, set()):
        try:
            edits = list(_Differ(source.text).edits(source.root, data))
        except _Unusual:
            pass
        except _ByHand:
            raise _by_hand(source) from None
        else:
            text = _apply(source.text, edits)
            if _holds(text, data):
                return text
    try:
        text = _round_trip(source, data)
    except Exception as error:  # a library, on a text that nobody writes
        raise _by_hand(source) from error
    if not _holds(text, data) or not _comments(source.text) <= _comments(text):
        raise _by_hand(source)
    return text


def _by_hand(source: Source) -> ConfigError:
    text = "is laid out in a way that no command can change; change it with an editor"
    return ConfigError([Problem(path=source.path, text=text)])


class _Unusual(Exception):
    """A layout that this module does not edit in place."""


class _ByHand(Exception):
    """A layout in which a comment would be lost, by us and by the round trip."""


class _Differ:
    """Walks nodes and new values side by side and yields (start, end, replacement)."""

    def __init__(self, text: str) -> None:
        self._text = text

    def edits(self, node: Node, new: object) -> Iterator[tuple[int, int, str]]:
        """What to do so that `node`, the whole document, holds `new`."""
        if self._is_block(node) and isinstance(node, MappingNode) and isinstance(new, dict):
            yield from self._block_mapping(node, new, top=True)
        else:
            yield from self._value(None, node, new)

    def _value(self, key: Node | None, node: Node, new: object) -> Iterator[tuple[int, int, str]]:
        """A value that exists on both sides."""
        if _same(node, new):
            return
        if isinstance(node, MappingNode) and isinstance(new, dict) and node.value and new:
            if node.flow_style:
                yield from self._flow_mapping(node, new)
            else:
                yield from self._block_mapping(node, new)
        elif isinstance(node, SequenceNode) and isinstance(new, list) and node.value and new:
            if node.flow_style:
                yield from self._flow_sequence(node, new)
            else:
                yield from self._block_sequence(node, new)
        elif key is not None and key.start_mark.column == 0 and new and not node.value:
            yield from self._firstentry_line(node, new)
        elif key is not None and not new and self._is_block(node):
            colon = self._after_colon(key)
            yield colon, colon, f" {render(new)}"
            yield self._line_end(colon), self._line_end(self._end(node)), ""
        elif key is not None:
            yield self._after_colon(key), self._end(node), f" {render(new)}"
        else:
            yield node.start_mark.index, self._end(node), render(new)

    def _is_block(self, node: Node) -> bool:
        """Whether it is a collection that has entries, on lines of their own."""
        if not isinstance(node, (MappingNode, SequenceNode)):
            return False
        return bool(node.value) and not node.flow_style

    def _firstentry_line(self, node: Node, new: object) -> Iterator[tuple[int, int, str]]:
        """`trunks: {}` or `trunks:` at the margin gets its first entries, one on each line."""
        start, end = node.start_mark.index, self._end(node)
        if not isinstance(new, (dict, list)):
            yield start, end, f" {render(new)}" if start == end else render(new)
            return
        before = start - 1 if start != end and self._text[start - 1] == " " else start
        yield before, end, ""
        at = self._line_end(end)
        yield at, at, "".join(entry_lines(new, "  ", at > 0 and self._text[at - 1] != "\n"))

    def _block_mapping(
        self, node: MappingNode, new: dict[str, Any], top: bool = False
    ) -> Iterator[tuple[int, int, str]]:
        known = {key.value for key, _ in node.value}
        entries = node.value
        start = entries[0][0].start_mark.index
        if entries[0][0].value not in new and not self._is_alone(start):
            kept = next((i for i, (key, _) in enumerate(entries) if key.value in new), None)
            if kept is None:
                raise _Unusual
            entries = entries[kept:]  # `- from: pbx`: the next key takes the place behind the dash
            yield start, entries[0][0].start_mark.index, ""
        at = 0
        for key, value in entries:
            if key.start_mark.column != node.value[0][0].start_mark.column:
                raise _Unusual
            at = self._line_end(self._end(value))
            if key.value in new:
                yield from self._value(key, value, new[key.value])
            else:
                yield self._own_line(key.start_mark.index, r"[ ]*\Z"), at, ""
        indent = " " * node.value[0][0].start_mark.column
        for name, one in new.items():
            if name not in known:
                gap = "\n" if top and isinstance(one, (dict, list)) else ""
                broken = at > 0 and self._text[at - 1] != "\n"
                yield at, at, ("\n" if broken else "") + gap + entry_line(name, one, indent, top)

    def _block_sequence(self, node: SequenceNode, new: list[Any]) -> Iterator[tuple[int, int, str]]:
        indent = " " * node.start_mark.column
        spans: list[tuple[int, int]] = []
        for one in node.value:
            start = self._own_line(one.start_mark.index, r"[ ]*-[ ]+\Z")
            spans.append((start, self._line_end(self._end(one))))
        yield from self._sequence(
            node, new, spans, lambda value: f"{indent}- {render(value)}\n", newline=True
        )

    def _sequence(
        self,
        node: SequenceNode,
        new: list[Any],
        spans: list[tuple[int, int]],
        fresh: Any,  # noqa: ANN401 (a function of one value)
        newline: bool,
    ) -> Iterator[tuple[int, int, str]]:
        """Entries of a block list: kept where they are the same, moved with their text."""
        old_keys = [_key(_plain(one)) for one in node.value]
        new_keys = [_key(one) for one in new]
        texts = {key: self._text[a:b] for key, (a, b) in zip(old_keys, spans, strict=True)}
        matcher = difflib.SequenceMatcher(None, old_keys, new_keys, autojunk=False)
        for kind, a, b, c, d in matcher.get_opcodes():
            if kind == "equal":
                continue
            if kind == "replace" and b - a == d - c:
                moved = [key for key in new_keys[c:d] if key in texts]
                if not moved:
                    for one, value in zip(node.value[a:b], new[c:d], strict=True):
                        yield from self._value(None, one, value)
                    continue
            start = spans[a][0] if a < len(spans) else spans[-1][1]
            end = spans[b - 1][1] if b > a else start
            text = ""
            for key, value in zip(new_keys[c:d], new[c:d], strict=True):
                one_text = texts.get(key) or fresh(value)
                text += one_text if one_text.endswith("\n") or not newline else f"{one_text}\n"
            if text and start > 0 and self._text[start - 1] != "\n":
                text = f"\n{text}"
            yield start, end, text

    def _flow_mapping(
        self, node: MappingNode, new: dict[str, Any]
    ) -> Iterator[tuple[int, int, str]]:
        names = [key.value for key, _ in node.value]
        added = [f"{render(n)}: {render(v)}" for n, v in new.items() if n not in names]
        kept = [name in new for name in names]
        if all(kept) or self._is_commented(node):
            for key, value in node.value:
                if key.value in new:
                    yield from self._value(key, value, new[key.value])
            spans = [(key.start_mark.index, self._end(value)) for key, value in node.value]
            yield from self._flow_lines(spans, kept, added)
            return
        old = [
            self._text[key.start_mark.index : self._end(value)]
            if _same(value, new[key.value])
            else f"{render(key.value)}: {render(new[key.value])}"
            for key, value in node.value
            if key.value in new
        ]
        yield self._flow(node, old + added)

    def _flow_sequence(self, node: SequenceNode, new: list[Any]) -> Iterator[tuple[int, int, str]]:
        spans = [(one.start_mark.index, self._end(one)) for one in node.value]
        old_keys = [_key(_plain(one)) for one in node.value]
        new_keys = [_key(one) for one in new]
        if self._is_commented(node):
            kept = [key in new_keys for key in old_keys]
            left = [key for key in old_keys if key in new_keys]
            if new_keys[: len(left)] != left:
                raise _ByHand
            yield from self._flow_lines(spans, kept, [render(one) for one in new[len(left) :]])
            return
        texts = {key: self._text[a:b] for key, (a, b) in zip(old_keys, spans, strict=True)}
        entries = [texts.get(key) or render(one) for key, one in zip(new_keys, new, strict=True)]
        yield self._flow(node, entries)

    def _is_commented(self, node: Node) -> bool:
        """Whether there is a # in the collection that is not part of a value."""
        at = node.start_mark.index
        for start, end in _scalars(node):
            if "#" in self._text[at:start]:
                return True
            at = end
        return "#" in self._text[at : node.end_mark.index]

    def _flow(self, node: Node, entries: list[str]) -> tuple[int, int, str]:
        """A flow collection with other entries and its own brackets and inner spaces."""
        start, end = node.start_mark.index, node.end_mark.index
        text = self._text[start:end]
        space = " " if text[1:2] == " " else ""
        return start, end, f"{text[0]}{space}{', '.join(entries)}{space}{text[-1]}"

    def _flow_lines(
        self, spans: list[tuple[int, int]], kept: list[bool], added: list[str]
    ) -> Iterator[tuple[int, int, str]]:
        """Entries of a flow collection that go with their lines, and new ones after the last."""
        for (start, end), stays in zip(spans, kept, strict=True):
            if not stays:
                line = re.compile(r",?[ ]*(#[^\n]*)?\n").match(self._text, end)
                begin = self._text.rfind("\n", 0, start) + 1
                if line is None or self._text[begin:start].strip():
                    raise _ByHand
                yield begin, line.end(), ""
        if added:
            last = [end for (_, end), stays in zip(spans, kept, strict=True) if stays]
            if not last:
                raise _ByHand
            yield last[-1], last[-1], "".join(f", {one}" for one in added)

    def _end(self, node: Node) -> int:
        """Where the node's last character is, plus one; a block's end mark lies further on."""
        end = int(node.end_mark.index)
        if isinstance(node, ScalarNode):
            return len(self._text[:end].rstrip()) if node.style in ("|", ">") else end
        if not isinstance(node, (MappingNode, SequenceNode)) or node.flow_style or not node.value:
            return end
        last = node.value[-1]
        return self._end(last[1] if isinstance(node, MappingNode) else last)

    def _line_end(self, index: int) -> int:
        """The start of the next line, or the end of the text."""
        at = self._text.find("\n", index)
        rest = self._text[index : at if at >= 0 else len(self._text)].strip()
        if rest and not rest.startswith("#"):
            raise _Unusual
        return at + 1 if at >= 0 else len(self._text)

    def _is_alone(self, index: int) -> bool:
        """Whether only spaces precede `index` in its line."""
        return not self._text[self._text.rfind("\n", 0, index) + 1 : index].strip(" ")

    def _own_line(self, index: int, before: str) -> int:
        """The start of the line of `index`, if only `before` precedes it there."""
        start = self._text.rfind("\n", 0, index) + 1
        if not re.match(before, self._text[start:index]):
            raise _Unusual
        return start

    def _after_colon(self, key: Node) -> int:
        index = int(key.end_mark.index)
        match = re.compile(r"\s*:").match(self._text, index)
        if match is None:
            raise _Unusual
        return match.end()


def _scalars(node: Node) -> Iterator[tuple[int, int]]:
    """Where the single values in a node are, in the order of the text."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _scalars(key)
            yield from _scalars(value)
    elif isinstance(node, SequenceNode):
        for one in node.value:
            yield from _scalars(one)
    else:
        yield node.start_mark.index, node.end_mark.index


def _apply(text: str, edits: list[tuple[int, int, str]]) -> str:
    """`text` with every edit made; those at one place in the order they were found."""
    pieces: list[str] = []
    at = 0
    for start, end, replacement in sorted(edits, key=lambda edit: (edit[0], edit[1])):
        pieces.append(text[at : max(at, start)])
        pieces.append(replacement)
        at = max(at, end)
    pieces.append(text[at:])
    return "".join(pieces)


def _holds(text: str, data: object) -> bool:
    """Whether `text` reads as `data`, key order aside."""
    try:
        source = parse(text, "")
    except ConfigError:
        return False
    return _key(source.data) == _key(data)


def _comments(text: str) -> set[str]:
    """What looks like the comments of a text."""
    return {match[1].strip() for match in re.finditer(r"(?m)(?:^|[ \t])(#.*)$", text)}


def _same(node: Node, new: object) -> bool:
    return _key(_plain(node)) == _key(new)


def _plain(node: Node) -> object:
    """A node's value, as `parse` makes it."""
    source = Source("", "", None, node)
    return source.values()


def _key(value: object) -> str:
    """Equal for equal values: 1, 1.0, true and "1" are four."""
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{name!r}:{_key(one)}" for name, one in value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_key(one) for one in value) + "]"
    return repr(value)


def _has_aliases(node: Node, seen: set[int]) -> bool:
    if id(node) in seen:
        return True
    seen.add(id(node))
    if isinstance(node, MappingNode):
        return any(_has_aliases(k, seen) or _has_aliases(v, seen) for k, v in node.value)
    return isinstance(node, SequenceNode) and any(_has_aliases(one, seen) for one in node.value)


def _round_trip(source: Source, data: object) -> str:
    """By ruamel: comments and order stay, the layout becomes its own."""
    yaml = YAML()
    yaml.composer.warn_double_anchors = False
    yaml.preserve_quotes = True
    yaml.width = 4096
    if re.search(r"^ +- ", source.text, re.MULTILINE):
        yaml.indent(mapping=2, sequence=4, offset=2)
    tree = yaml.load(source.text)
    merged = _merge(tree, data)
    out = io.StringIO()
    yaml.dump(merged, out)
    return out.getvalue()


def _merge(tree: Any, data: Any) -> Any:  # noqa: ANN401 (ruamel's tree is untyped)
    """`tree` changed in place as far as it is mappings, so that comments keep their places."""
    if isinstance(tree, dict) and isinstance(data, dict):
        for name in [name for name in tree if name not in data]:
            del tree[name]
        for name, value in data.items():
            tree[name] = _merge(tree[name], value) if name in tree else value
        return tree
    if isinstance(tree, list) and isinstance(data, list) and len(tree) == len(data):
        for index, value in enumerate(data):
            tree[index] = _merge(tree[index], value)
        return tree
    return tree if _key(tree) == _key(data) else data
