"""The arguments of a route, bound from a request by the models that its signature names.

FastAPI reads the signatures and documents them. It would bind them too, but looks at every declared parameter of every
request anew, which costs a list with twenty filters more than its query does. Here everything that does not depend on
the request is worked out once, and only what was sent is looked at.
"""

from collections.abc import Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any, get_origin

from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.requests import Request

from api.global_ids import labels_of, own_id

ABSENT: Any = object()  # a body that was not sent


class Arguments:
    """What one route takes: parts of its path, parameters of its query, one body, and what is made of the request."""

    def __init__(self, dependant: Dependant, path: str) -> None:
        assert not [*dependant.header_params, *dependant.cookie_params], "headers are read where they are needed"
        assert len(dependant.body_params) <= 1, "a body is one model"
        assert all(_takes_request_alone(one) for one in dependant.dependencies), "filters together are a query model"
        self._made = [(one.name, one.call) for one in dependant.dependencies if one.name and one.call]
        self._request = dependant.request_param_name
        self._path, self._labels = dependant.path_params, labels_of(path)
        self._body = next(iter(dependant.body_params), None)
        model = dependant.query_params[0] if dependant.query_params and _is_model(dependant.query_params[0]) else None
        assert model is None or len(dependant.query_params) == 1, "a query model stands alone"
        self._model = model
        self._query = {} if model else {field.alias: field for field in dependant.query_params}
        fields = [*self._query.values(), *dependant.body_params]
        self._needed = {field.name for field in fields if field.field_info.is_required()}
        self._defaults = {field.name: field.get_default() for field in fields if field.name not in self._needed}
        self.repeatable = _repeatable(model, self._query)

    def bind(self, request: Request, pairs: Sequence[tuple[str, str]], body: Any) -> dict[str, Any]:
        """The arguments of one call. `pairs` are the query's, all of them in `repeatable`.

        Raises RequestValidationError with every fault found; NotFound for a global id of what the address is not of.
        """
        values, faults = dict(self._defaults), list[Any]()

        def take(field: ModelField, given: Any, *place: str) -> None:
            values[field.name], found = field.validate(given, loc=place)
            faults.extend(found)

        named = dict[str, str]()
        for field in self._path:
            given, labels = request.path_params[field.alias], self._labels.get(field.alias, frozenset())
            named[field.alias] = own_id(given, labels, named.get("incident_id"))
            take(field, named[field.alias], "path", field.alias)
        query = self._collect(pairs)
        if self._model is not None:
            take(self._model, query, "query")
        for alias, field in self._query.items():
            if alias in query:
                take(field, query[alias], "query", alias)
            elif field.name in self._needed:
                faults.append(_missing("query", alias))
        if self._body is not None:
            if body is not ABSENT:
                take(self._body, body, "body")
            elif self._body.name in self._needed:
                faults.append(_missing("body"))
        if faults:
            raise RequestValidationError(faults)
        for name, make in self._made:
            values[name] = make(request)
        if self._request is not None:
            values[self._request] = request
        return values

    def _collect(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """What was sent, by name: a text, or the list of all its texts where it may be repeated."""
        sent: dict[str, Any] = {}
        for name, value in pairs:
            if self.repeatable[name]:
                sent.setdefault(name, []).append(value)
            else:
                sent[name] = value
        return sent


def _takes_request_alone(needed: Dependant) -> bool:
    """Whether a dependency is made of the request at once: it declares nothing of its own, and nothing is awaited."""
    declared = [*needed.dependencies, *needed.path_params, *needed.query_params, *needed.body_params]
    return not declared and needed.request_param_name is not None and not iscoroutinefunction(needed.call)


def _repeatable(model: ModelField | None, query: Mapping[str, ModelField]) -> dict[str, bool]:
    """Declared query parameters by name, each with whether it may be given several times."""
    if model is None:
        return {alias: _is_list(field.field_info.annotation) for alias, field in query.items()}
    members: Mapping[str, Any] = getattr(model.field_info.annotation, "model_fields", {})
    return {member.alias or name: _is_list(member.annotation) for name, member in members.items()}


def _is_model(field: ModelField) -> bool:
    annotation = field.field_info.annotation
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_list(annotation: Any) -> bool:
    options = getattr(annotation, "__args__", ()) if get_origin(annotation) not in {list, tuple, set} else ()
    return get_origin(annotation) in {list, tuple, set} or any(get_origin(one) in {list, tuple, set} for one in options)


def _missing(*place: str) -> dict[str, Any]:
    return {"type": "missing", "loc": place, "msg": "Field required", "input": None}
