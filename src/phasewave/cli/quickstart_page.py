"""One self-contained page of what the quickstart made: pictures inlined, nothing fetched from elsewhere."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from phasewave.runs.atomic import replacing
from phasewave.runs.record import versions

_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fafbfc; color: #1b1f24; font: 16px/1.55 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { font-size: 1.9rem; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 0 0 .4rem; }
p { margin: .2rem 0 .8rem; max-width: 52rem; }
.grey { color: #667080; }
section { background: #fff; border: 1px solid #e3e7ec; border-radius: 10px; }
section { padding: 1.3rem 1.5rem 1.5rem; margin-top: 1.6rem; }
section.failed { border-color: #d4552f; }
img { max-width: 100%; height: auto; display: block; margin: .9rem 0 .4rem; }
table { border-collapse: collapse; margin: .8rem 0 .2rem; font-size: .92rem; }
td, th { text-align: left; padding: .22rem 1.4rem .22rem 0; vertical-align: top; }
td, th { border-bottom: 1px solid #eef1f4; }
th { font-weight: 600; }
code { background: #f0f3f6; border-radius: 4px; padding: .1rem .35rem; font-size: .88rem; }
"""
_KINDS = {".png": "image/png", ".gif": "image/gif", ".webp": "image/webp"}


@dataclass(frozen=True)
class Section:
    """One system on the page.

    Attributes
    ----------
    title, text : str
        Its name, and what was done.
    command : str
        The command that does it alone.
    pictures : tuple of Path
        PNG, GIF or WebP files, inlined.
    table : sequence of sequence of str
        Rows, the heads first.
    seconds : float
    error : str
        What went wrong; empty if nothing did.
    """

    title: str
    text: str
    command: str
    pictures: tuple[Path, ...] = ()
    table: Sequence[Sequence[str]] = field(default_factory=tuple)
    seconds: float = 0.0
    error: str = ""


def write_page(path: str | os.PathLike[str], sections: Sequence[Section]) -> None:
    """Write the page, whole or not at all.

    Raises
    ------
    OSError
        If a picture cannot be read or the page not be written.
    """
    total = sum(section.seconds for section in sections)
    parts = [_section(section) for section in sections]
    made = ", ".join(f"{name} {version}" for name, version in versions().items())
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>phasewave quickstart</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>phasewave quickstart</h1>
<p class="grey">Three systems of wavelets on data that come with the package, in {total / 60:.1f} minutes.</p>
{"".join(parts)}
<p class="grey">{html.escape(made)}</p>
</main>
</body>
</html>
"""
    with replacing(path) as stream:
        stream.write(page.encode())


def _section(section: Section) -> str:
    words = [f"<h2>{html.escape(section.title)}</h2>", f"<p>{html.escape(section.text)}</p>"]
    if section.error:
        words.append(f"<p><strong>This part failed:</strong> {html.escape(section.error)}</p>")
    words += [_picture(path, section.title) for path in section.pictures]
    if section.table:
        heads, *rows = section.table
        lines = ["".join(f"<th>{html.escape(cell)}</th>" for cell in heads)]
        lines += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
        words.append(f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>")
    words.append(
        f'<p class="grey">{section.seconds:.0f} s. Alone: <code>{html.escape(section.command)}</code></p>'
    )
    kind = ' class="failed"' if section.error else ""
    return f"<section{kind}>{''.join(words)}</section>\n"


def _picture(path: Path, title: str) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{html.escape(title)}" src="data:{_KINDS[path.suffix]};base64,{content}">'
