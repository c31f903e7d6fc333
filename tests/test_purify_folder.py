"""``mlvgm purify FOLDER``: what was read, what was changed, what came out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlvgm.cli.main import main


def picture(mode: str, *, size: tuple[int, int] = (40, 30)) -> Image.Image:
    values = np.arange(size[0] * size[1] * 3, dtype=np.uint32).reshape(*size, 3) % 251
    return Image.fromarray(values.astype(np.uint8)).convert(mode)


def odd_images(folder: Path) -> Path:
    """Images of many kinds, and two files that are none."""
    folder.mkdir()
    for mode, name in (("RGB", "rgb.png"), ("RGBA", "clear.png"), ("CMYK", "print.jpg"), ("1", "bits.png")):
        picture(mode).save(folder / name)
    picture("L", size=(32, 32)).save(folder / "fits.png")
    Image.fromarray(np.full((40, 30), 40_000, np.uint16)).save(folder / "deep.png")
    picture("RGB").save(folder / "film.webp", save_all=True, append_images=[picture("RGB").rotate(180)])
    turned = Image.Exif()
    turned[0x0112] = 6
    picture("RGB").save(folder / "turned.jpg", exif=turned)
    picture("RGB").save(folder / "other.gif")
    (folder / "readme.txt").write_text("no image")
    return folder


def purify(capfd: pytest.CaptureFixture[str], *arguments: object, exit_code: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(["purify", *map(str, arguments)])
    printed = capfd.readouterr()
    assert stopped.value.code == exit_code, printed.err
    return printed.out, printed.err


def test_what_was_changed_about_the_images_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mlvgm_nvae")
    folder = odd_images(tmp_path / "in")
    out, err = purify(capfd, folder, "--out", tmp_path / "out", "--seed", 1, "--json")
    said = json.loads(out)
    assert said["images"] == 8 and said["left_out"] == 2
    assert said["altered"] == {
        "resized to 32×32": 7,
        "made grey": 5,
        "turned as their EXIF data say": 1,
        "read without transparency": 1,
        "first of several frames taken": 1,
        "cut from 16 to 8 bits": 1,
    }
    assert "7 resized to 32×32" in err and "2 other files were left out" in err
    assert said["warning"] in err and "Fashion-MNIST" in said["warning"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    pictures = [file for file in folder.iterdir() if file.suffix not in (".gif", ".txt")]
    assert names == {file.with_suffix(".png").name for file in pictures} | {"before-after.png"}
    with Image.open(said["sheet"]) as sheet:
        assert sheet.width > 2 * 32 and sheet.height > 8 * 32


def test_without_a_generator_images_keep_size_and_colours(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for mode, shape in (("L", (40, 30)), ("RGB", (40, 30, 3))):
        folder = tmp_path / mode
        folder.mkdir()
        picture(mode).save(folder / "a.png")
        out, err = purify(capfd, folder, "--out", tmp_path / f"{mode}-out", "--purifier", "none")
        assert np.asarray(Image.open(tmp_path / f"{mode}-out" / "a.png")).shape == shape
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"{mode}-out" / "a.png")), np.asarray(picture(mode)))
        assert "before they were purified" not in err and "warning" not in err and not out
    picture("L", size=(20, 20)).save(tmp_path / "L" / "b.png")
    options = ("--purifier", "none", "--out", tmp_path / "sized", "--set", "data.height=8", "--set", "data.width=8")
    _, err = purify(capfd, tmp_path / "L", *options)
    assert "2 resized to 8×8" in err


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("in", "lies in the input folder"),
        ("in/out", "lies in the input folder"),
        ("link/out", "lies in the input folder"),
        (".", "is not empty"),
        ("in/a.png", "lies in the input folder"),
        ("file", "cannot write"),
        ("x" * 300, "File name too long"),
    ],
)
def test_output_in_the_wrong_place(
    out: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    picture("L").save("in/a.png")
    os.symlink("in", "link")
    Path("file").write_text("x")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    _, err = purify(capfd, "in", "--out", out, "--purifier", "none", exit_code=2)
    assert said in err and {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.png", b"", "a.png is broken"),
        ("a.png", b"\x89PNG\r\n\x1a\n then nothing", "a.png is broken"),
        ("a.jpg", b"text", "a.jpg is broken"),
        ("a.txt", b"text", "found none"),
        (".hidden.png", b"", "found none"),
        ("before-after.png", None, "is called 'before-after.png'"),
        ("a.npy", b"\x93NUMPY", "a.npy is broken"),
        ("nosuch/", None, "is not a folder"),
    ],
)
def test_folders_that_cannot_be_purified(
    name: str, content: bytes | None, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    if name != "nosuch/":
        folder.mkdir()
        if content is None:
            picture("L").save(folder / name)
        else:
            (folder / name).write_bytes(content)
    _, err = purify(capfd, folder, "--out", tmp_path / "out", "--purifier", "none", exit_code=2)
    assert said in err and not (tmp_path / "out").exists()


def test_noise_is_fresh_unless_a_seed_is_given(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    picture("L").save(tmp_path / "in" / "a.png")
    found = []
    for number, seed in enumerate((("--seed", 1), ("--seed", 1), ("--seed", 2), (), ())):
        out = tmp_path / f"out{number}"
        purify(capfd, tmp_path / "in", "--out", out, "--purifier", "noise", *seed)
        found.append(np.asarray(Image.open(out / "a.png")))
    assert np.array_equal(found[0], found[1])
    different = [found[0], found[2], found[3], found[4], np.asarray(picture("L"))]
    assert all(not np.array_equal(one, other) for i, one in enumerate(different) for other in different[:i])
