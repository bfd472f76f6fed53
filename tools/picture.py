"""Write docs/terminal.svg, the picture of the README, from the examples of the tutorial that are marked: tools/picture.py

What it shows has been run: a test runs the tutorial's examples, and another holds the picture to them.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
PICTURE = DOCS / "terminal.svg"
#: Of a character and a line, and around all of them, in units of the drawing.
CHARACTER, LINE, MARGIN, BAR = 8.43, 19, 18, 30
#: What stands out, by what a line begins with: a command that is typed, and the words before a message.
_PARTS = ((r"\$ ", "prompt"), (r"error:", "error"), (r"hint:", "hint"))
_STYLE = (
    "text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#c9d1d9;white-space:pre}"
    ".prompt{fill:#7ee787}.typed{fill:#fff;font-weight:600}.error{fill:#ff7b72;font-weight:600}.hint{fill:#79c0ff}"
)


def picture() -> str:
    """The whole drawing."""
    text = (DOCS / "tutorial.md").read_text()
    blocks = re.findall(r"^```console picture\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = "\n".join(re.sub(r"^\[exit \d+\]\n", "", block, flags=re.MULTILINE) for block in blocks).splitlines()
    width = round(max(map(len, lines)) * CHARACTER) + 2 * MARGIN
    height = BAR + len(lines) * LINE + MARGIN
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        "<title>A command that is refused, with the line that decided and what would permit it</title>",
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" rx="10" fill="#0d1117"/>',
        *(
            f'<circle cx="{MARGIN + 6 + 18 * at}" cy="18" r="5.5" fill="{fill}"/>'
            for at, fill in enumerate(("#ff5f57", "#febc2e", "#28c840"))
        ),
        *(f'<text x="{MARGIN}" y="{BAR + (at + 1) * LINE - 4}">{_line(line)}</text>' for at, line in enumerate(lines)),
        "</svg>",
    ]
    return "\n".join(drawn) + "\n"


def _line(line: str) -> str:
    for start, style in _PARTS:
        if found := re.match(start, line):
            rest = escape(line[found.end() :], quote=False)
            typed = f'<tspan class="typed">{rest}</tspan>' if style == "prompt" else rest
            return f'<tspan class="{style}">{escape(found[0])}</tspan>{typed}'
    if line.startswith("> "):
        return f'<tspan class="typed">{escape(line, quote=False)}</tspan>'
    return escape(line, quote=False)


if __name__ == "__main__":
    PICTURE.write_text(picture())
