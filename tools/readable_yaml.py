"""YAML for people: indented lists, folded long text, multi-line text kept as lines."""

from __future__ import annotations

import yaml

WIDTH = 100


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, indentless=False)

    def represent_str(self, data: str) -> yaml.ScalarNode:
        node = super().represent_str(data)
        if "\n" in data:
            node.style = "|"
        elif len(data) > WIDTH // 2 and " " in data and data.isprintable():
            node.style = ">"
        return node


_Dumper.add_representer(str, _Dumper.represent_str)


def readable_yaml(content: object) -> str:
    """Format the content as YAML, keys in their order."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True)
    return text
