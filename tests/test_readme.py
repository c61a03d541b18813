"""README: its snippets run, its commands are commands, its files exist."""

import re
import shlex
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import typer.main

from phasewave.cli.main import app

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(
    r"(?:<!--\s*(?P<note>[^>]*?)\s*-->\n)?^```(?P<kind>bash|python)\n(?P<body>.*?)^```$", re.M | re.S
)


def blocks(kind):
    """Return (note, line number, body) of README's fenced blocks of one kind."""
    if not README.exists():
        return []
    text = README.read_text(encoding="utf-8")
    return [
        (match["note"] or "", text.count("\n", 0, match.start("body")) + 1, match["body"])
        for match in BLOCK.finditer(text)
        if match["kind"] == kind
    ]


def at_line(case):
    return f"line{case[1]}"


def commands(body):
    """Return the words of each command in a shell block: lines joined at backslashes, split at && and ;."""
    found = []
    for line in body.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = next((i for i, word in enumerate(words) if word in ("&&", ";", "|", "||")), len(words))
            if words[:end]:
                found.append(words[:end])
            words = words[end + 1 :]
    return found


def parse_phasewave(words):
    """Parse the words after ``phasewave`` as the command would, without running it."""
    command, context = typer.main.get_command(app), None
    while True:
        context = command.make_context(command.name, list(words), parent=context, resilient_parsing=False)
        if not hasattr(command, "commands"):
            return context
        rest = [*getattr(context, "_protected_args", []), *context.args]
        _, command, words = command.resolve_command(context, rest)


def test_the_readme_is_there_with_its_two_commands():
    assert README.exists(), "README.md is missing"
    notes = [note for note, _, _ in blocks("bash")]
    assert notes.count("command: main") == 1, "README needs one bash block under <!-- command: main -->"
    assert notes.count("command: tests") == 1, "README needs one bash block under <!-- command: tests -->"


@pytest.mark.parametrize("case", blocks("python"), ids=at_line)
def test_python_snippets_run(case, tmp_path, monkeypatch):
    note, line, body = case
    code = compile("\n" * (line - 1) + body, str(README), "exec")  # so that a traceback shows README's line
    if note.startswith("not run:"):
        assert len(note) > len("not run:") + 5, "say why a snippet is not run"
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: None)
    exec(code, {"__name__": "readme"})
    plt.close("all")


@pytest.mark.parametrize("case", blocks("bash"), ids=at_line)
def test_commands_are_commands(case):
    for words in commands(case[2]):
        program = Path(words[0]).name
        if program == "phasewave":
            context = parse_phasewave(words[1:])
            assert context.command.callback is not None
        elif program in ("python", "python3") and words[1] == "-m":
            assert words[2] in ("venv", "pip", "pytest", "phasewave", "build"), words
            if words[2] == "phasewave":
                parse_phasewave(words[3:])
        elif program in ("python", "python3", "torchrun"):
            script = next(word for word in words[1:] if not word.startswith("-"))
            assert (ROOT / script).is_file(), f"README runs {script}, which is not there"
        else:
            assert program in ("pip", "git", "cd", "source", "."), f"README runs an unknown program: {words}"


def test_wrong_commands_would_be_found():
    good = "pip install . && phasewave turbulence synthesize f.npy --seed 1 \\\n  --out run  # a comment"
    assert commands(good) == [
        ["pip", "install", "."],
        ["phasewave", "turbulence", "synthesize", "f.npy", "--seed", "1", "--out", "run"],
    ]
    context = parse_phasewave(["turbulence", "synthesize", "f.npy", "--seed", "1"])
    assert context.params["seed"] == 1
    for wrong in (["turbulence", "synthesise"], ["turbulence", "synthesize", "--sead", "1"], ["--seed", "1"]):
        with pytest.raises(Exception, match=r"No such (command|option)"):
            parse_phasewave(wrong)


def test_linked_files_exist():
    text = README.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", text) + re.findall(
        r'<img[^>]* src="([^"]+)"', text
    )
    missing = [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]
    assert not missing, f"README links to files that are not there: {missing}"
