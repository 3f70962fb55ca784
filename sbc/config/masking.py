"""The text of a configuration file as it may be shown: what is secret in it is not."""

from __future__ import annotations

from collections.abc import Iterator

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sbc.config.problems import ConfigError
from sbc.config.secrets import HIDDEN, is_reference, is_secret, secrets_in
from sbc.config.source import Path, Source, parse

__all__ = ["masked", "masked_pair"]


def masked(source: Source, known: frozenset[str] | None = None) -> str:
    """The file's text with every secret masked, and nothing else changed.

    Args:
        known: the secrets that were there before; any other one is marked as new.
    """
    text, end = [], 0
    for first, last, value in sorted(set(_spans(source.root, (), set()))):
        if first < end:
            continue
        new = known is not None and value not in known
        text += [source.text[end:first], f"{HIDDEN} (new)" if new else HIDDEN]
        end = last
    return "".join([*text, source.text[end:]])


def masked_pair(old: str, new: str, path: str) -> tuple[str, str]:
    """A file before and after a change; a secret that was changed still shows as a change."""
    try:
        before, after = parse(old, path), parse(new, path)
    except ConfigError:  # what is no YAML was not changed by us
        return "", ""
    return masked(before), masked(after, secrets_in(before.data))


def _spans(node: Node | None, path: Path, above: set[int]) -> Iterator[tuple[int, int, str]]:
    """First and last offset of each secret, and what it is."""
    if isinstance(node, ScalarNode):
        secret = is_secret(path) and bool(node.value) and not is_reference(node.value)
        if secret and node.start_mark is not None and node.end_mark is not None:
            yield node.start_mark.index, node.end_mark.index, node.value
    elif isinstance(node, (MappingNode, SequenceNode)) and id(node) not in above:
        above = above | {id(node)}
        for entry in node.value:
            if isinstance(node, MappingNode):
                key, value = entry
                name = key.value if isinstance(key, ScalarNode) else ""
                yield from _spans(value, (*path, name), above)
            else:
                yield from _spans(entry, path, above)
