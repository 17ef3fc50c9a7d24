"""Names of files as people brought them: kept as data, made harmless, never used as a path of ours."""

import re
import unicodedata

FILENAME_CHARACTERS_MAX = 255
EXTENSION_CHARACTERS_MAX = 16
NAMELESS = "evidence"
# Names that Windows takes for devices, with any extension: a file called so cannot be saved there.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])(\.|$)", re.IGNORECASE)
# Forbidden on Windows, or meaningful to a shell.
_UNSAFE = re.compile(r'[<>:"|?*]')


def clean_filename(name: str) -> str:
    """`name` without folders, control, format and bidirectional characters, leading dots and device names.

    At most FILENAME_CHARACTERS_MAX characters, the extension kept; NAMELESS where nothing is left.
    """
    last = re.split(r"[/\\]", name[:16_384])[-1]
    spaced = re.sub(r"\s+", " ", last)
    # Categories C*: control, format (direction overrides hide an extension), surrogates, private use, unassigned.
    visible = "".join(c for c in spaced if not unicodedata.category(c).startswith("C"))
    joined = re.sub(" +", " ", visible)  # what stood between two spaces may be gone
    clean = _UNSAFE.sub("_", unicodedata.normalize("NFC", joined)).strip(" .")
    if not clean:
        return NAMELESS
    if _DEVICES.match(clean):
        clean = f"_{clean}"
    return _shorten(clean)


def extension_of(name: str) -> str:
    """What follows the last dot, lower case; '' without a dot or where it is too long to be an extension."""
    stem, dot, extension = name.rpartition(".")
    return extension.lower() if stem and dot and len(extension) <= EXTENSION_CHARACTERS_MAX else ""


def _shorten(name: str) -> str:
    if len(name) <= FILENAME_CHARACTERS_MAX:
        return name
    extension = extension_of(name)
    if not extension:
        return name[:FILENAME_CHARACTERS_MAX].rstrip(" .")
    stem = name[: FILENAME_CHARACTERS_MAX - len(extension) - 1].rstrip(" .")
    return f"{stem}.{extension}"
