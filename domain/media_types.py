"""What a file is, by its first bytes and its extension: the allow-list of evidence.

The bytes speak first; an extension that contradicts them is refused, since such a file opens as something else than
it shows. Nothing is unpacked or rendered. Types that a browser would run are kept but answered as a download only.
"""

from domain.filenames import extension_of
from domain.refusals import InputError, Invalid

HEAD_BYTES = 4_096  # as much of the beginning as the rules look at
BINARY = "application/octet-stream"
TEXT = "text/plain"

# Offset, bytes, media type, extensions that may carry it. The first match counts.
_MAGIC: tuple[tuple[int, bytes, str, frozenset[str]], ...] = tuple(
    (offset, magic, media_type, frozenset(extensions.split()))
    for offset, magic, media_type, extensions in (
        (0, b"\x89PNG\r\n\x1a\n", "image/png", "png"),
        (0, b"\xff\xd8\xff", "image/jpeg", "jpg jpeg jpe jfif"),
        (0, b"GIF87a", "image/gif", "gif"),
        (0, b"GIF89a", "image/gif", "gif"),
        (8, b"WEBPVP8", "image/webp", "webp"),
        (8, b"WAVEfmt ", "audio/wav", "wav"),
        (8, b"AVI LIST", "video/x-msvideo", "avi"),
        (0, b"II*\x00", "image/tiff", "tif tiff"),
        (0, b"MM\x00*", "image/tiff", "tif tiff"),
        (0, b"%PDF-", "application/pdf", "pdf"),
        (4, b"ftypheic", "image/heic", "heic heif"),
        (4, b"ftypmif1", "image/heic", "heic heif"),
        (4, b"ftypavif", "image/avif", "avif"),
        (4, b"ftypqt", "video/quicktime", "mov qt"),
        (4, b"ftypM4A", "audio/mp4", "m4a mp4"),
        (4, b"ftyp", "video/mp4", "mp4 m4v m4a mov"),
        (0, b"\x1a\x45\xdf\xa3", "video/webm", "webm mkv"),
        (0, b"OggS", "audio/ogg", "ogg oga opus ogv"),
        (0, b"ID3", "audio/mpeg", "mp3"),
        (0, b"fLaC", "audio/flac", "flac"),
        (0, b"PK\x03\x04", "application/zip", "zip docx xlsx pptx odt ods odp docm xlsm pptm har saz evtc"),
        (0, b"PK\x05\x06", "application/zip", "zip"),
        (0, b"\x1f\x8b\x08", "application/gzip", "gz tgz"),
        (0, b"BZh", "application/x-bzip2", "bz2 tbz2"),
        (0, b"\xfd7zXZ\x00", "application/x-xz", "xz txz"),
        (0, b"\x28\xb5\x2f\xfd", "application/zstd", "zst"),
        (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed", "7z"),
        (0, b"Rar!\x1a\x07", "application/vnd.rar", "rar"),
        (257, b"ustar", "application/x-tar", "tar"),
        (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage", "doc xls ppt msg vsd pub"),
        (0, b"\xd4\xc3\xb2\xa1", "application/vnd.tcpdump.pcap", "pcap cap"),
        (0, b"\xa1\xb2\xc3\xd4", "application/vnd.tcpdump.pcap", "pcap cap"),
        (0, b"\x0a\x0d\x0d\x0a", "application/x-pcapng", "pcapng"),
        (0, b"ElfFile\x00", "application/x-ms-evtx", "evtx"),
        (0, b"SQLite format 3\x00", "application/vnd.sqlite3", "sqlite sqlite3 db"),
        (0, b"!BDN", "application/vnd.ms-outlook", "pst ost"),
        (0, b"PAR1", "application/vnd.apache.parquet", "parquet"),
    )
)
_OF_EXTENSION = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "msg": "application/vnd.ms-outlook",
}
_TEXTS = {
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "jsonl": "application/x-ndjson",
    "eml": "message/rfc822",
    "mbox": "application/mbox",
    "md": "text/markdown",
    "rtf": "application/rtf",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "vtt": "text/vtt",
    "ics": "text/calendar",
    "html": "text/html",
    "htm": "text/html",
    "mht": "multipart/related",
    "mhtml": "multipart/related",
    "svg": "image/svg+xml",
    "xml": "application/xml",
    "har": "application/json",
}
_PLAIN = frozenset(
    {"txt", "text", "log", "conf", "cfg", "ini", "toml", "env", "diff", "patch", "srt", "asc", "sig", "pem"}
)
_OPAQUE = frozenset({"bin", "dat", "dmp", "mem", "raw", "img", "vmem", "etl", "trace", "p7m", "p7s", "gpg", "age"})
_RUNS = frozenset(
    {"exe", "dll", "com", "scr", "pif", "cpl", "sys", "drv", "ocx", "xll", "msi", "msp", "msix", "appx", "application"}
    | {"bat", "cmd", "ps1", "psm1", "vbs", "vbe", "js", "jse", "mjs", "wsf", "wsh", "hta", "lnk", "url", "reg", "inf"}
    | {"sh", "bash", "zsh", "command", "desktop", "jar", "apk", "app", "dmg", "pkg", "deb", "rpm", "chm", "gadget"}
    | {"iso", "vhd", "vhdx"}
)
# ELF, a script's first line, Mach-O in four orders, Java and fat Mach-O, WebAssembly, Dalvik, a Windows shortcut.
_PROGRAMS = (
    b"\x7fELF",
    b"#!",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\0asm",
    b"dex\n",
    b"L\0\0\0\x01\x14\x02\0",
)
ACTIVE = frozenset({"text/html", "image/svg+xml", "application/xml", "multipart/related", "application/rtf"})
"""Types that a program would run or follow when it shows them: told as data, answered as a plain download."""


def media_type_of(head: bytes, filename: str) -> str:
    """The media type of a file that begins with `head` (HEAD_BYTES of it).

    Raises Invalid (`evidence-type-refused`) for programs, for a name that contradicts the bytes, and for binary
    content of a kind that is not on the list.
    """
    extension = extension_of(filename)
    if extension in _RUNS or _is_program(head):
        raise _refused("is a program or would be run; pack it into an archive with a password")
    for offset, magic, media_type, extensions in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            if extension in extensions:
                return _OF_EXTENSION.get(extension, media_type)
            if _is_listed(extension):
                raise _refused(f"is {media_type}, which .{extension} does not say")
            return media_type
    if _is_text(head):
        return _type_of_text(head, extension)
    if extension in _OPAQUE:
        return BINARY
    if _is_listed(extension):
        raise _refused(f"is not what .{extension} says")
    raise _refused("is of a kind that is not recognised; pack it into a zip archive, or name it .bin")


def served_type(media_type: str) -> str:
    """The `Content-Type` of a download: never one that a browser would run."""
    return BINARY if media_type in ACTIVE else media_type


def _type_of_text(head: bytes, extension: str) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script")):
        found = "text/html"
    elif start.startswith(b"<svg") or (start.startswith((b"<?xml", b"<!doctype svg")) and b"<svg" in head.lower()):
        found = "image/svg+xml"
    elif start.startswith(b"<?xml"):
        found = "application/xml"
    else:
        found = TEXT
    if extension in _TEXTS:
        return found if found in ACTIVE and _TEXTS[extension] not in ACTIVE else _TEXTS[extension]
    if extension in _PLAIN or not _is_listed(extension):
        return found
    if extension in _OPAQUE:
        return BINARY
    raise _refused(f"is text, which .{extension} does not say")


def _is_listed(extension: str) -> bool:
    return (
        extension in _TEXTS
        or extension in _PLAIN
        or extension in _OPAQUE
        or any(extension in extensions for _, _, _, extensions in _MAGIC)
    )


def _is_text(head: bytes) -> bool:
    """Text has no NUL, unless it is UTF-16 and says so, and next to no control characters."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if b"\0" in head:
        return False
    controls = sum(byte < 0x20 and byte not in b"\t\n\r\f\x1b\b" for byte in head)
    return controls * 100 <= len(head)


def _is_program(head: bytes) -> bool:
    if head.startswith(b"MZ"):
        return b"\0" in head  # without one it is a text that begins so
    return head.startswith(_PROGRAMS)


def _refused(reason: str) -> Invalid:
    return Invalid(f"The file {reason}.", code="evidence-type-refused", errors=[InputError("/file", reason)])
