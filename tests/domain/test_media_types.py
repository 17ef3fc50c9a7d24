"""It tells what a file is by its bytes, and refuses one whose name says something else."""

import pytest

from domain.media_types import ACTIVE, BINARY, media_type_of, served_type
from domain.refusals import Invalid

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 64
ZIP = b"PK\x03\x04" + b"\0" * 64
GIF = b"GIF89a/*<script>alert(1)</script>*/"


@pytest.mark.parametrize(
    ("head", "name", "media_type"),
    [
        (PNG, "a.png", "image/png"),
        (PNG, "a", "image/png"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 16, "photo.JPG", "image/jpeg"),
        (b"%PDF-1.7\n", "report.pdf", "application/pdf"),
        (ZIP, "a.zip", "application/zip"),
        (ZIP, "a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 8, "mail.msg", "application/vnd.ms-outlook"),
        (b"From: a@example.com\r\n\r\nhello", "mail.eml", "message/rfc822"),
        (b"2026-01-01 refused\n", "proxy.log", "text/plain"),
        (b"a,b\n1,2\n", "rows.csv", "text/csv"),
        (b'{"a": 1}', "body.json", "application/json"),
        (b"\xff\xfea\0b\0", "notes.txt", "text/plain"),
        (b"MZ is how this sentence begins", "notes.txt", "text/plain"),
        (b"<!DOCTYPE html><p>", "page.html", "text/html"),
        (b"<html><script>", "page.txt", "text/html"),
        (b"<svg onload=alert(1)>", "logo.svg", "image/svg+xml"),
        (b"<?xml version='1.0'?><a/>", "a.xml", "application/xml"),
        (b"\x00\x01\x02", "memory.dmp", BINARY),
    ],
)
def test_it_tells_the_type(head: bytes, name: str, media_type: str) -> None:
    assert media_type_of(head, name) == media_type


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (GIF, "a.html"),
        (PNG, "a.pdf"),
        (b"plain words", "a.png"),
        (ZIP, "a.txt"),
        (b"MZ\x90\0" + b"\0" * 60, "a.bin"),
        (b"MZ\x90\0" + b"\0" * 60, "a.png"),
        (b"\x7fELF\x02", "tool"),
        (b"#!/bin/sh\n", "notes.txt"),
        (b"Get-Process", "run.ps1"),
        (b"\x00\x01\x02", "unknown"),
        (b"\x00\x01\x02", "unknown.xyz"),
        (b"\x00\x01\x02", "picture.png"),
    ],
)
def test_it_refuses_what_is_not_what_it_says(head: bytes, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        media_type_of(head, name)
    assert caught.value.code == "evidence-type-refused"


@pytest.mark.parametrize("active", sorted(ACTIVE))
def test_an_active_type_is_served_as_bytes_alone(active: str) -> None:
    assert served_type(active) == BINARY
    assert served_type("image/png") == "image/png"
