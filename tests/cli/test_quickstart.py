"""The quickstart: three parts on embedded data, one page that needs nothing else, and what may go wrong."""

import base64
import io
import json
import signal
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from phasewave.cli import quickstart
from phasewave.cli.main import main
from phasewave.cli.progress import EvaluationProgress
from phasewave.cli.quickstart_page import Picture, Section, write_page
from phasewave.images.reading import read_images
from phasewave.molecules.features import SolidScattering
from phasewave.turbulence.fields import as_field, read_field

VOID = {"meta", "img", "br", "hr"}


class Page(HTMLParser):
    """What is in a page; an element that is not closed where it should be is an error."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.images, self.links, self.named, self.words = [], [], [], {}, []
        self.rows, self.failed = [], 0
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        assert len(found) == len(attributes)
        self.links += [(tag, name) for name in ("href", "srcset", "data", "action") if name in found]
        if tag == "img":
            self.images.append((found["alt"], found["src"]))
        elif "src" in found or tag in ("link", "script", "iframe", "object", "base"):
            self.links.append((tag, "src"))
        if tag == "meta" and "name" in found:
            self.named[found["name"]] = found["content"]
        if tag == "tr":
            self.rows.append([])
        self.failed += found.get("class") == "failed"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            assert "url(" not in data
            assert "@import" not in data
        elif data.strip():
            self.words.append(data)
            if self.open[-1] in ("td", "th"):
                self.rows[-1].append(data)

    @property
    def text(self):
        return " ".join(self.words)


def pixels(source):
    """Return the format and the size of a picture in a page."""
    kind, content = source.split(";base64,")
    with Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as picture:
        picture.load()
        assert kind == f"data:image/{picture.format.lower()}"
        return picture.format, picture.size


def run(capsys, *words):
    """Return exit code, standard output and standard error of the command."""
    capsys.readouterr()
    code = main([*(str(word) for word in words)])
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def small(monkeypatch):
    """The parts with less data and shorter trainings."""
    monkeypatch.setattr(quickstart, "read_field", lambda: as_field(read_field().values[:64, :64]))
    monkeypatch.setattr(quickstart, "_EVALUATIONS", 3)
    cheap = {"channels": ("all", "valence"), "n_scales": 1, "max_degree": 1, "max_order": 1, "step": 1.0}
    monkeypatch.setattr(quickstart, "SolidScattering", lambda: SolidScattering(**cheap))
    monkeypatch.setattr(
        quickstart, "read_images", lambda path, *, seed: read_images(path, size=16, limit=110, seed=seed)
    )
    monkeypatch.setattr(quickstart, "EMBEDDED", {"code_dim": 16, "n_atoms": 4, "epochs": 1, "prior_epochs": 1})


def picture_part(title, colour):
    """Return a part that makes one small picture."""

    def part(console, folder, seed, device, overwrite):
        folder.mkdir(parents=True, exist_ok=overwrite)
        Image.new("RGB", (8, 6), colour).save(folder / "a.png")
        table = [["a & b", "value"], ["<seed>", str(seed)]]
        return Section(title, "What it is.", "command", (Picture(folder / "a.png", f'a "{title}"'),), table)

    return part


@pytest.fixture
def stubs(monkeypatch):
    """The three parts by names, each of which makes one small picture at once."""
    parts = {name: picture_part(name.capitalize(), (40 * k, 0, 0)) for k, name in enumerate(quickstart.PARTS)}
    monkeypatch.setattr(quickstart, "PARTS", parts)
    return parts


def test_three_parts_and_a_page_that_needs_nothing_else(capsys, here, small):
    code, out, err = run(capsys, "quickstart", "--device", "cpu", "--seed", 1)
    assert code == 0, out + err
    assert sorted(path.name for path in (here / "quickstart").iterdir()) == [
        "images",
        "molecules",
        "quickstart.html",
        "turbulence",
    ]
    for name, seed in (("turbulence", 1), ("molecules", 1), ("images", 1)):
        record = json.loads((here / "quickstart" / name / "run.json").read_text())
        assert record["seed"] == seed
    text = (here / "quickstart" / "quickstart.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>\n<html lang=")
    page = Page(text)
    assert not page.links
    assert page.named["viewport"] == "width=device-width, initial-scale=1"
    assert [pixels(source)[0] for _, source in page.images] == ["PNG", "PNG", "PNG", "GIF"]
    assert all(min(pixels(source)[1]) > 100 for _, source in page.images)
    assert len({words for words, _ in page.images}) == 4
    assert all(len(words) > 20 for words, _ in page.images)
    for word in ("Turbulence", "Molecules", "Images", "phasewave turbulence synthesize", "phasewave images train"):
        assert word in page.text
    assert not page.failed
    assert "not made yet" not in page.text
    heads = [row[0] for row in page.rows]
    assert {"error, 0 is best", "flatness error", "measure", "PSNR, test"} <= set(heads)
    samples = json.loads((here / "quickstart" / "turbulence" / "metrics.json").read_text())["samples"]
    assert f"{samples['wasserstein']['mean']:.3f}" in dict((row[0], row[1]) for row in page.rows)["wasserstein"]


def test_a_part_that_fails_leaves_the_others(capsys, here, stubs):
    def broken(*_):
        raise RuntimeError("no <b> & no [/red] more")

    stubs["molecules"] = broken
    code, out, err = run(capsys, "quickstart", "--out", "q")
    assert code == 4
    assert "molecules failed: RuntimeError: no <b> & no [/red] more" in out
    assert "page: q/quickstart.html" in out
    assert "Traceback" not in out + err
    page = Page((here / "q" / "quickstart.html").read_text(encoding="utf-8"))
    assert page.failed == 1
    assert "failed: molecules" in page.text
    assert "This part failed:  RuntimeError: no <b> & no [/red] more" in page.text
    assert "Energies of atomisation" in page.text
    assert [words for words, _ in page.images] == ['a "Turbulence"', 'a "Images"']
    assert ["<seed>", "0"] in page.rows
    code, _, err = run(capsys, "--debug", "quickstart", "--out", "r")
    assert (code, "Traceback" in err, "in broken" in err) == (4, True, True)


def test_ctrl_c_while_fields_are_made_ends_all(capsys, here, small, monkeypatch):
    def press(self, *_):
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.signal(signal.SIGINT, before)

    monkeypatch.setattr(EvaluationProgress, "update", press)
    code, out, err = run(capsys, "quickstart", "--device", "cpu")
    assert code == 4
    assert "interrupted: what was made by then is in quickstart" in err
    assert "--overwrite" in err
    assert "molecules" not in out
    assert [path.name for path in (here / "quickstart").iterdir()] == ["turbulence"]
    status = json.loads((here / "quickstart" / "turbulence" / "run.json").read_text())["status"]
    assert status == "interrupted"


def test_ctrl_c_later_leaves_the_page_of_what_is_made(capsys, here, stubs):
    whole = stubs["molecules"]

    def pressed(*_):
        raise KeyboardInterrupt

    stubs["molecules"] = pressed
    code, _, err = run(capsys, "quickstart")
    assert (code, "interrupted" in err) == (4, True)
    page = Page((here / "quickstart" / "quickstart.html").read_text(encoding="utf-8"))
    assert [words for words, _ in page.images] == ['a "Turbulence"']
    assert "not made yet: molecules, images" in page.text
    stubs["molecules"] = whole
    assert run(capsys, "quickstart", "--overwrite")[0] == 0
    page = Page((here / "quickstart" / "quickstart.html").read_text(encoding="utf-8"))
    assert len(page.images) == 3


def test_a_folder_in_use_is_refused_before_any_work(capsys, here, stubs):
    (here / "quickstart").mkdir()
    (here / "quickstart" / "mine.txt").write_text("mine")
    code, out, err = run(capsys, "quickstart")
    assert (code, "is not empty (it holds mine.txt)" in err, out) == (2, True, "")
    assert [path.name for path in (here / "quickstart").iterdir()] == ["mine.txt"]
    assert run(capsys, "quickstart", "--overwrite")[0] == 0
    assert (here / "quickstart" / "mine.txt").read_text() == "mine"
    code, _, err = run(capsys, "quickstart", "--device", "tpu", "--out", "new")
    assert (code, "`device`" in err, (here / "new").exists()) == (2, True, False)


def test_a_full_disk(capsys, here, stubs, small_disk):
    def large(console, folder, seed, device, overwrite):
        with open(folder.with_name("large"), "wb") as file:
            file.write(bytes(1 << 17))

    stubs["images"] = large
    with small_disk():
        code, out, _ = run(capsys, "quickstart")
    assert (code, "images failed: OSError: " in out) == (4, True)
    page = Page((here / "quickstart" / "quickstart.html").read_text(encoding="utf-8"))
    assert (page.failed, len(page.images)) == (1, 2)


def test_a_page_that_finds_no_room_is_named_and_leaves_the_one_before(capsys, here, stubs, small_disk):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save("large.png")
    stubs["images"] = lambda *_: Section("Images", "", "", (Picture(here / "large.png", "noise"),))
    with small_disk():
        code, _, err = run(capsys, "quickstart")
    assert code == 4
    assert "no space left to write quickstart/quickstart.html" in err
    page = Page((here / "quickstart" / "quickstart.html").read_text(encoding="utf-8"))
    assert "not made yet: images" in page.text
    assert not list((here / "quickstart").glob(".*"))


def test_words_on_the_page_are_words(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.webp")
    section = Section(
        '<script>alert("1")</script>',
        "a < b",
        "x > y",
        (Picture(tmp_path / "a.webp", '"><b>'),),
        [["<th>"], ["&"]],
    )
    write_page(tmp_path / "page.html", [section])
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.images[0][0] == '"><b>'
    assert pixels(page.images[0][1]) == ("WEBP", (4, 4))
    assert page.rows == [["<th>"], ["&"]]
    assert not page.links
