import os

import pytest

from phasewave.runs.folder import open_run

FILES = ("run.json", "samples.h5", "checkpoint.h5")


def start(path, **options):
    return open_run(path, files=FILES, checkpoint="checkpoint.h5", **options)


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    run = start(tmp_path / "a" / "b")
    assert run.path.is_dir()
    assert run.state() == "empty"
    assert run / "run.json" == tmp_path / "a" / "b" / "run.json"
    assert not run.resumable
    start(run.path)  # an empty folder is as good as none


def test_only_declared_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"`name` must be one of the run's files run\.json, .*got 'notes'"):
        start(tmp_path / "a") / "notes"


def test_a_folder_with_files_is_refused_and_kept(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(
        FileExistsError, match=r"not empty \(it holds thesis\.tex\): choose another.*--overwrite \(over"
    ) as caught:
        start(tmp_path)
    assert "--resume" not in str(caught.value)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_folder_with_a_checkpoint_is_refused_with_the_way_to_resume(tmp_path):
    for name in FILES:
        (tmp_path / name).write_text("x")
    (tmp_path / "zzz").write_text("x")
    (tmp_path / "zzzz").write_text("x")
    with pytest.raises(FileExistsError, match=r"samples\.h5, zzz and 1 more.*--resume \(resume=True\)"):
        start(tmp_path)


def test_overwrite_removes_the_files_of_runs_and_nothing_else(tmp_path):
    kept = ["notes.txt", ".run.json.part.swp", "samples.h5.bak", "old/samples.h5"]
    (tmp_path / "old").mkdir()
    for name in [*kept, *FILES, ".samples.h5.123.part"]:
        (tmp_path / name).write_text("x")
    run = start(tmp_path, overwrite=True)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)
    assert run.present() == []


def test_overwrite_follows_no_link_out_of_the_folder(tmp_path):
    outside = tmp_path / "precious.h5"
    outside.write_text("x")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "samples.h5").symlink_to(outside)
    start(tmp_path / "run", overwrite=True)
    assert outside.read_text() == "x"
    assert not (tmp_path / "run" / "samples.h5").is_symlink()


def test_overwrite_never_removes_a_folder(tmp_path):
    (tmp_path / "samples.h5").mkdir()
    with pytest.raises(FileExistsError, match=r"samples\.h5 is a folder where the run makes a file"):
        start(tmp_path, overwrite=True)
    assert (tmp_path / "samples.h5").is_dir()


def test_resume_enters_the_folder_of_an_unfinished_run(tmp_path):
    for name in ("run.json", "checkpoint.h5"):
        (tmp_path / name).write_text("x")
    run = start(tmp_path, resume=True)
    assert run.resumable
    assert run.present() == ["run.json", "checkpoint.h5"]


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda path: None, "the folder does not exist"),
        (lambda path: path.mkdir(), "the folder is empty"),
        (lambda path: (path.mkdir(), (path / "run.json").touch()), r"it has no checkpoint\.h5"),
    ],
)
def test_resume_without_a_checkpoint_says_why(tmp_path, prepare, reason):
    path = tmp_path / "run"
    prepare(path)
    with pytest.raises(FileNotFoundError, match=f"no run to resume in .*run: {reason}"):
        start(path, resume=True)


def test_resume_and_overwrite_exclude_each_other(tmp_path):
    with pytest.raises(ValueError, match="exclude each other"):
        start(tmp_path, resume=True, overwrite=True)


@pytest.mark.parametrize("below", ["", "/run"])
def test_a_file_in_the_way_is_named(tmp_path, below):
    (tmp_path / "taken").write_text("x")
    with pytest.raises(FileExistsError, match="is a file; choose another name"):
        start(f"{tmp_path}/taken{below}", overwrite=True)
