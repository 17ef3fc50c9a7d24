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
HURRIED_SECONDS_MAX = 2.0  # for what is cancelled to be gone
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
    ending = _Ending()
    async with opened(settings, server) as found, _watched(server):
        api = make_api(settings, found.database)
        http = _Http(api, settings, lambda: welcome(found, _address(settings, listener)))
        with _signals(ending):
            async with (
                _beside(_end(http, ending)),
                _working(found, ending) if settings.worker else contextlib.nullcontext(),
            ):
                try:
                    await http.serve(sockets=[listener])
                except SystemExit as error:  # uvicorn's word for a lifespan that failed
                    raise StartRefused("The API did not start; the log above says why.") from error


async def work_alone(settings: Settings, server: EmbeddedPostgres | None) -> None:
    """Do the background work until told to end. Raises StartRefused."""
    ending = _Ending()
    async with opened(settings, server, serves=False) as found, _watched(server):
        with _signals(ending):
            async with _working(found, ending):
                log.info("working")
                await ending.asked.wait()


class _Ending:
    """What signals ask for: the first one to end in good order, a second one to wait for nothing any more."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()

    def ask(self) -> None:
        """A signal came."""
        (self.hurried if self.asked.is_set() else self.asked).set()


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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End requests that are not waited for any more and what the API holds, which uvicorn leaves to the loop."""
        await super().shutdown(sockets)
        if self.force_exit:
            left = set(self.server_state.tasks)
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=HURRIED_SECONDS_MAX)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.lifespan.shutdown(), HURRIED_SECONDS_MAX)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


async def _end(http: _Http, ending: _Ending) -> None:
    """Let readiness go red and requests finish when it is asked, and wait for none of them when it hurries."""
    await ending.asked.wait()
    http.should_exit = True
    readiness = getattr(http.api.state, "readiness", None)
    if readiness is not None:
        readiness.is_stopping = True
    streams = getattr(http.api.state, "event_streams", None)
    if streams is not None:
        streams.end()  # they have no end of their own to wait for
    await ending.hurried.wait()
    http.force_exit = True


@contextlib.contextmanager
def _signals(ending: _Ending) -> Iterator[None]:
    """Tell signals to `ending`. Those that come after the block are ignored: what is left to close is short."""
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, ending.ask)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


@contextlib.asynccontextmanager
async def _watched(server: EmbeddedPostgres | None) -> AsyncIterator[None]:
    """Bring the embedded server back when it dies, for the length of the block."""
    if server is None:
        yield
        return
    async with _beside(server.watch()):
        yield


@contextlib.asynccontextmanager
async def _working(found: Opened, ending: _Ending) -> AsyncIterator[None]:
    """Do the background work beside the block."""
    worker = Worker(found.database, found.settings, listen_dsn=found.addresses.runtime)
    async with _beside(worker.run()) as task:
        try:
            yield
        finally:
            worker.stop()  # what it has in hand is finished
            async with _beside(_wait(ending.hurried)) as hurried:
                waits = (task, hurried)
                await asyncio.wait(waits, timeout=found.settings.shutdown_seconds, return_when=asyncio.FIRST_COMPLETED)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


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
