"""One picture from the bytes of a JPEG, PNG or other file: 8 bits, grey or colour, nothing guessed."""

from __future__ import annotations

import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2")
)
_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR = ("1", "L"), ("P", "RGB", "CMYK", "YCbCr", "LAB", "HSV")
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


class CorruptPicture(ValueError):
    """A picture that cannot be decoded.

    Parameters
    ----------
    what : str
        Which, and why; the message adds what to do.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: get it again, or leave out what is corrupt (--skip-corrupt)")
        self.what = what


def decode(content: bytes, name: str) -> Image.Image:
    """Return the picture in a file, of mode L (grey) or RGB, the right way up.

    Parameters
    ----------
    content : bytes
        The whole file.
    name : str
        How messages name it.

    Raises
    ------
    CorruptPicture
        If it is empty, truncated or no picture.
    ValueError
        If it is a picture that has no one meaning as 8-bit grey or colour: of 16 bits or floating values, with
        transparent pixels, or of several frames; the message says what to do.
    """
    if not content:
        raise CorruptPicture(f"{name} is an empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # of odd metadata
            picture = Image.open(io.BytesIO(content))
            _check_kind(picture, content, name)
            picture.load()
            upright = ImageOps.exif_transpose(picture)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} is too large a picture to be read: {error}; leave it out") from error
    except UnidentifiedImageError as error:
        raise CorruptPicture(f"{name} is corrupt, or no picture at all") from error
    except (OSError, SyntaxError, EOFError, KeyError, IndexError, OverflowError) as error:
        raise CorruptPicture(f"{name} is corrupt ({error})") from error
    return _plain(upright, name)


def _check_kind(picture: Image.Image, content: bytes, name: str) -> None:
    n_frames = getattr(picture, "n_frames", 1)
    if n_frames > 1 and picture.format != "MPO":  # MPO: a JPEG with previews after it
        raise ValueError(
            f"{name} is animated or has several pages, {n_frames} of them: save the one that is meant as a file "
            "of its own"
        )
    deep = content.startswith(_PNG) and len(content) > 24 and content[24] == 16  # Pillow would drop the low bytes
    if deep or picture.mode not in (*_GREY, *_COLOUR, *_ALPHA):
        kind = "16 bits" if deep or picture.mode.startswith("I;16") else f"the mode {picture.mode}"
        raise ValueError(
            f"{name} must hold 8-bit grey or colour, got {kind}: convert it to 8 bits first, since which range of "
            "values is black to white is yours to say"
        )


def _plain(picture: Image.Image, name: str) -> Image.Image:
    if picture.mode in _ALPHA or "transparency" in picture.info:
        grey = picture.mode in ("L", "LA", "La", "1")
        picture = picture.convert("RGBA")
        opaque = picture.getchannel("A").getextrema()[0]
        if opaque != 255:
            raise ValueError(
                f"{name} has transparent pixels (alpha channel): flatten it onto a background colour first"
            )
        return picture.convert("RGB").convert("L") if grey else picture.convert("RGB")
    if picture.mode in _GREY:
        return picture.convert("L")
    return picture.convert("RGB")
