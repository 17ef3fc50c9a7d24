"""Log lines: one JSON object each, in UTC, without secrets and without people's words."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any

import orjson
import structlog

# API keys, hook urls, signing secrets, bearer tokens and passwords inside addresses, wherever they appear in a text.
_SECRETS = re.compile(
    r"hf_[0-9A-Za-z_]{8,}"
    r"|whs(?:ec|k)_[0-9A-Za-z+/=_-]{8,}"
    r"|(?<=/hooks/)(?!\{token\})[^\s/?#\"']+"
    r"|(?i:(?<=bearer )[0-9A-Za-z._~+/=-]{8,})"
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"
    r"|eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]*"
)
_TEMPLATE = "/hooks/{token}"  # a route, as every delivery's line names it; nobody's token holds a brace
_MARKS = ("hf_", "whs", "/hooks/", "bearer ", "://", "eyj")  # one of these is in all that _SECRETS finds, in lower case
# JSON escapes the C0 controls; these reach a terminal as they are, or are no Unicode at all (lone surrogates).
_UNSAFE = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SECRET_NAMES = frozenset({"authorization", "cookie", "password", "secret", "token", "key", "secret_key", "body"})
REDACTED = "[redacted]"


def configure(*, level: str = "info", style: str = "json") -> None:
    """Send our lines and those of libraries through one chain to standard error.

    Ours go there directly: the standard library's way from logger to handler costs several times what a line does, and
    every request writes one.
    """
    chain: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_the_failure,
        redact,
    ]
    render: structlog.typing.Processor = _render_json if style == "json" else structlog.dev.ConsoleRenderer()
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*chain, render],
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Requests get one line of our own; these would repeat it, with urls that hold tokens.
    for name in ("uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


class _Lines:
    """Where lines of one name go: to standard error, each in one write."""

    def __init__(self, name: str = "holdfast") -> None:
        self.name = name

    def write(self, line: str) -> None:
        try:
            sys.stderr.write(line + "\n")
        except (OSError, ValueError):
            pass  # nobody reads the log any more, or the disk under it is full: no reason to stop answering

    debug = info = warning = error = critical = write


def redact(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take secrets out of every text of a line, and the values of fields whose name says that they are one."""
    if not _is_harmless(line):
        for name, value in line.items():
            line[name] = REDACTED if name.lower() in _SECRET_NAMES and value else _clean(value)
    return line


def _is_harmless(line: Mapping[str, Any]) -> bool:
    """Whether a line needs no closer look, told at a twentieth of the cost of one: nearly every line is like that."""
    if _names_a_secret(tuple(line)):
        return False
    texts = []
    for value in line.values():
        if isinstance(value, str):
            texts.append(value)
        elif value is not None and not isinstance(value, (int, float)):
            return False
    whole = "\n".join(texts)
    if not whole.isascii():
        return False
    lowered = whole.lower().replace(_TEMPLATE, "")
    return not [mark for mark in _MARKS if mark in lowered]  # any() and a generator would cost more than the search


@lru_cache(maxsize=500)
def _names_a_secret(names: tuple[str, ...]) -> bool:
    """Whether one of the fields holds a secret by its name. Names are ours, so there are few lists of them."""
    return not _SECRET_NAMES.isdisjoint([name.lower() for name in names])


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        clean = _SECRETS.sub(REDACTED, value)
        return clean if clean.isascii() else _UNSAFE.sub(lambda c: ascii(c[0])[1:-1], clean)
    if isinstance(value, Mapping):
        return {k: REDACTED if str(k).lower() in _SECRET_NAMES and v else _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item) for item in value]
    return value


def _name_the_failure(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace an exception by its class and the places it passed: its message may quote what a caller sent."""
    failure = line.pop("exc_info", None)
    if failure is True:
        failure = sys.exc_info()
    if isinstance(failure, BaseException):
        failure = (type(failure), failure, failure.__traceback__)
    if isinstance(failure, tuple) and failure[0] is not None:
        kind, _error, trace = failure
        places = []
        while trace is not None:
            code = trace.tb_frame.f_code
            places.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} {code.co_name}")
            trace = trace.tb_next
        line["failure"] = kind.__name__
        line["at"] = places[-12:]
    return line


def _render_json(_: Any, __: str, line: MutableMapping[str, Any]) -> str:
    return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
