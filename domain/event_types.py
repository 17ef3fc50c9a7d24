"""The catalogue of events: the streams there are, and who may read each."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from domain.permissions import OPERATIONS
from domain.shipped import shipped


class StreamText(BaseModel):
    """A stream as written in the data. `read` is the row of the permission table that its reader needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Annotated[str, Field(min_length=1)]
    read: str


class Catalogue(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    streams: dict[str, StreamText]


def _catalogue() -> Catalogue:
    found = Catalogue.model_validate(shipped("event_types.yaml"))
    for name, stream in found.streams.items():
        if stream.read not in OPERATIONS:
            raise ValueError(f"event_types.yaml: stream {name} is read by an unknown operation, {stream.read}")
    return found


CATALOGUE = _catalogue()
STREAMS = CATALOGUE.streams
