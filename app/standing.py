"""The processes that stay: listening, working in the background, ending in good order."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import structlog
import uvicorn

from app.listening import SOCKETS, GuardedConnection
from app.postgres import EmbeddedPostgres
from app.serving import Opened, StartRefused, opened
from app.settings import Settings
from app.worker import Worker

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 30
SIGNALS = (signal.SIGTERM, signal.SIGINT)
log = structlog.get_logger("holdfast.serving")

MakeApi = Callable[[Settings, Any], Any]
Welcome = Callable[[Opened, str], None]


@contextlib.contextmanager
def bind(settings: Settings) -> Iterator[socket.socket]:
    """The socket to listen on, taken before anything costly is started. Raises StartRefused."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        name = "HOLDFAST_HOST" if isinstance(error, socket.gaierror) else "HOLDFAST_PORT"
        raise StartRefused(
            f"{name}: cannot listen on {settings.host}:{settings.port} ({error.strerror}). Choose another one; port 0 "
            "takes a free one."
        ) from error
    with listener:
        yield listener


def free_metrics_port(settings: Settings) -> Settings:
    """Settings without the metrics listener where nobody chose its port and another process has it already."""
    if not settings.metrics_port:
        return settings
    family = socket.AF_INET6 if ":" in settings.metrics_host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.metrics_host, settings.metrics_port))
        except OSError as error:
            if "metrics_port" in settings.model_fields_set:
                raise StartRefused(
                    f"HOLDFAST_METRICS_PORT: cannot listen on {settings.metrics_host}:{settings.metrics_port} "
                    f"({error.strerror}). Choose another one; 0 switches the listener off."
                ) from error
            log.warning("metrics are off: the port is taken", port=settings.metrics_port)
            return settings.model_copy(update={"metrics_port": 0})
    return settings


async def stand(
    settings: Settings, server: EmbeddedPostgres | None, listener: socket.socket, make_api: MakeApi, welcome: Welcome
) -> None:
    """Serve until told to end: then readiness goes red, requests finish, the worker stops. Raises StartRefused."""
    async with opened(settings, server) as found, _watched(server):
        api = make_api(settings, found.database)
        http = _Http(api, settings, lambda: welcome(found, _address(settings, listener)))
        async with _working(found) if settings.worker else contextlib.nullcontext():
            with _signals(lambda: _end(http)):
                try:
                    await http.serve(sockets=[listener])
                except SystemExit as error:  # uvicorn's word for a lifespan that failed
                    raise StartRefused("The API did not start; the log above says why.") from error


async def work_alone(settings: Settings, server: EmbeddedPostgres | None) -> None:
    """Do the background work until told to end. Raises StartRefused."""
    ended = asyncio.Event()
    async with opened(settings, server, serves=False) as found, _watched(server), _working(found):
        with _signals(ended.set):
            log.info("working")
            await ended.wait()


class _Http(uvicorn.Server):
    """uvicorn without its signals: ours end the whole process in order, not only the listener."""

    def __init__(self, api: Any, settings: Settings, welcome: Callable[[], None]) -> None:
        self.api = api
        self._welcome = welcome
        super().__init__(
            uvicorn.Config(
                api,
                http=GuardedConnection,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="on",
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=settings.shutdown_seconds,
                **SOCKETS,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say so once requests are answered."""
        await super().startup(sockets)
        if self.started:
            self._welcome()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _end(http: _Http) -> None:
    """The first signal ends in good order, a second one at once."""
    if http.should_exit:
        http.force_exit = True
    http.should_exit = True
    readiness = getattr(http.api.state, "readiness", None)
    if readiness is not None:
        readiness.is_stopping = True
    streams = getattr(http.api.state, "event_streams", None)
    if streams is not None:  # they have no end of their own to wait for
        streams.end()


@contextlib.contextmanager
def _signals(end: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _watched(server: EmbeddedPostgres | None) -> AsyncIterator[None]:
    """Bring the embedded server back when it dies, for the length of the block."""
    if server is None:
        yield
        return
    async with _beside(server.watch()):
        yield


@contextlib.asynccontextmanager
async def _working(found: Opened) -> AsyncIterator[None]:
    """Do the background work beside the block."""
    worker = Worker(found.database, found.settings, listen_dsn=found.addresses.runtime)
    async with _beside(worker.run()) as task:
        try:
            yield
        finally:
            worker.stop()  # what it has in hand is finished
            await asyncio.wait([task], timeout=found.settings.shutdown_seconds)


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(work)
    task.add_done_callback(_tell)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task


def _tell(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("background work ended", error=type(error).__name__)


def _address(settings: Settings, listener: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listener.getsockname()[1]}"
