"""HTML pages that need no other file: a frame with its styles, and tables."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ["marked", "page", "table"]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --text: #1c1c1c; --back: #fff; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e4e4; --back: #161616; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 1700px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--back); }
th:last-child, td:last-child { text-align: left; white-space: normal; min-width: 12rem; }
th { font-weight: 600; vertical-align: bottom; } tr.groups th { text-align: center; border-bottom: none; }
tbody tr:hover td { background: var(--soft); } td.best { font-weight: 700; }
td small { display: block; font-weight: 400; opacity: .75; padding-right: 1.7em; }
td i { display: inline-block; width: 1.7em; text-align: left; font-style: normal; font-weight: 400; }
p, ul { max-width: 75rem; }
img { max-width: 100%; max-height: 900px; background: #fff; } details { margin: .4rem 0; } summary { cursor: pointer; }
li { margin: .15rem 0; }
"""


def page(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole document; `body`, `style` and `script` go in as they are."""
    code = f"<script>\n{script}\n</script>" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n{body}\n{code}\n</body>\n</html>\n"
    )


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[tuple[str, str]]],
    groups: Sequence[tuple[str, int]] = (),
    ready: bool = False,
) -> str:
    """A table that scrolls sideways where it is too wide; cells are (text, CSS class), `groups` (head, columns).

    `ready`: the cells are HTML already, as `marked` makes it.

    >>> "<td>a &amp; b</td>" in table(["x"], [[("a & b", "")]])
    True
    """
    top = "".join(f'<th colspan="{width}">{escape(text)}</th>' for text, width in groups)
    lines = [f'<tr class="groups">{top}</tr>'] if groups else []
    lines.append("<tr>" + "".join(f"<th>{escape(head)}</th>" for head in heads) + "</tr>")
    body = [
        "<tr>" + "".join(_cell(text if ready else escape(text), name) for text, name in row) + "</tr>" for row in rows
    ]
    return (
        f'<div class="scroll"><table><thead>{"".join(lines)}</thead>\n<tbody>'
        + "\n".join(body)
        + "</tbody></table></div>"
    )


def marked(text: str, width: str = "", mark: str | None = None) -> str:
    """HTML of a cell: a number with its uncertainty in small beneath, and marks that hang, so that digits line up.

    `mark`: empty leaves the room for marks that others of the column have, None does not.

    >>> marked("0.85", "± 0.01", "*")
    '0.85<i>*</i><small>± 0.01</small>'
    >>> marked("a & b")
    'a &amp; b'
    """
    hanging = "" if mark is None else f"<i>{escape(mark)}</i>"
    return escape(text) + hanging + (f"<small>{escape(width)}</small>" if width else "")


def _cell(text: str, name: str) -> str:
    return f'<td class="{name}">{text}</td>' if name else f"<td>{text}</td>"
