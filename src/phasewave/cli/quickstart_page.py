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
.wide { overflow-x: auto; margin: .9rem 0 .4rem; }
img { max-width: 100%; height: auto; display: block; }
table { border-collapse: collapse; font-size: .92rem; }
td, th { text-align: left; padding: .22rem 1.4rem .22rem 0; vertical-align: top; }
td, th { border-bottom: 1px solid #eef1f4; }
th { font-weight: 600; }
code { background: #f0f3f6; border-radius: 4px; padding: .1rem .35rem; font-size: .88rem; }
@media (max-width: 720px) {
  main { padding: 1.2rem .7rem 2rem; }
  section { padding: 1rem .8rem; }
  img { max-width: none; width: 720px; } /* moved with a finger: words in a narrow picture could not be read */
  td, th { padding-right: .8rem; }
}
"""
_KINDS = {".png": "image/png", ".gif": "image/gif", ".webp": "image/webp"}


@dataclass(frozen=True)
class Picture:
    """A picture on the page.

    Attributes
    ----------
    path : Path
        A PNG, GIF or WebP file, inlined.
    words : str
        What it shows, for those who cannot see it.
    """

    path: Path
    words: str


@dataclass(frozen=True)
class Section:
    """One system on the page.

    Attributes
    ----------
    title, text : str
        Its name, and what was done.
    command : str
        The command that does it alone.
    pictures : tuple of Picture
    table : sequence of sequence of str
        Rows, the heads first.
    seconds : float
    error : str
        What went wrong; empty if nothing did.
    """

    title: str
    text: str
    command: str
    pictures: tuple[Picture, ...] = ()
    table: Sequence[Sequence[str]] = field(default_factory=tuple)
    seconds: float = 0.0
    error: str = ""


def write_page(path: str | os.PathLike[str], sections: Sequence[Section], *, waiting: Sequence[str] = ()) -> None:
    """Write the page, whole or not at all.

    Parameters
    ----------
    path : path-like
    sections : sequence of Section
        The parts made, or that failed.
    waiting : sequence of str
        The names of those still to be made.

    Raises
    ------
    OSError
        If a picture cannot be read or the page not be written.
    """
    total = sum(section.seconds for section in sections)
    parts = [_section(section) for section in sections]
    said = f"{total / 60:.1f} minutes"
    failed = [section.title.lower() for section in sections if section.error]
    if failed:
        said += f"; failed: {', '.join(failed)}"
    if waiting:
        said += f"; not made yet: {', '.join(waiting)}"
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
<p class="grey">Three systems of wavelets on data that come with the package: {html.escape(said)}.</p>
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
    words += [_picture(picture) for picture in section.pictures]
    if section.table:
        heads, *rows = section.table
        lines = ["".join(f"<th>{html.escape(cell)}</th>" for cell in heads)]
        lines += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
        words.append(f'<div class="wide"><table>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>')
    words.append(
        f'<p class="grey">{section.seconds:.0f} s. Alone: <code>{html.escape(section.command)}</code></p>'
    )
    kind = ' class="failed"' if section.error else ""
    return f"<section{kind}>{''.join(words)}</section>\n"


def _picture(picture: Picture) -> str:
    content = base64.b64encode(picture.path.read_bytes()).decode()
    source = f"data:{_KINDS[picture.path.suffix]};base64,{content}"
    return f'<div class="wide"><img alt="{html.escape(picture.words)}" src="{source}"></div>'
