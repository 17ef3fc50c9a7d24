"""The classes behind the types of the graph, made for Strawberry from the table of types and from models of REST."""

from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import strawberry
from pydantic import AwareDatetime, BaseModel

from api.fields import AllowedTransition
from api.graphql.scalars import JSON, BigInt, Date, DateTime, are_names, enum_of
from api.graphql.scalars import UUID as Uuid
from api.graphql.types import GLOBAL_ID, TYPES, GraphType
from app.statements import NOUNS, Group, Many, One

BIG = frozenset({"size"})


def described(**words: str) -> Callable[[type], type]:
    """Give the members of a class their descriptions, before Strawberry reads it."""

    def apply(made: type) -> type:
        for member, text in words.items():
            given: dict[str, Any] = {"default": None} if getattr(made, member, ...) is None else {}
            setattr(made, member, strawberry.field(description=text, **given))
        return made

    return apply


@strawberry.interface(description="A thing with a global id.")
class Node:
    """Whatever `node` can find."""

    global_id: strawberry.ID = strawberry.field(name="id", description="`Type:key`, accepted by REST too.")


@strawberry.type(description="Something that has to be supplied first.")
@described(
    kind="action, document, fact, evidence, approval, signature, obligation or person.",
    ref="Which one.",
    message="What to do.",
    href="Where to do it, in REST.",
)
class Missing:
    """One entry of `missing`."""

    kind: str
    ref: str
    message: str
    href: str | None = None


@strawberry.type(description="A transition and what the call would answer for this caller.")
@described(
    transition="What could be asked for.",
    permit="allowed, or what stands against it: gate, state, person.",
    gate="The gate that refuses.",
    message="Why, and what to do.",
    missing="What has to be supplied first.",
)
class Offer:
    """One entry of `viewerCan`."""

    transition: str
    permit: str
    gate: str | None
    message: str | None
    missing: list[Missing]


CLASSES: dict[str, type] = {}
"""The class of each type, by name. Filled once, when this module is loaded."""

MEMBERS: dict[str, dict[str, str]] = {}
"""Type -> name in the graph -> member of the noun (or of the JSON of a group)."""

TARGETS: dict[tuple[str, str], str] = {}
"""(type, member) -> name of the type that it leads to: relations, groups, offers."""


def camel(name: str) -> str:
    """`due_at` is dueAt."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def value_type(annotation: Any, owner: str, name: str) -> Any:
    """The Python type that stands for an annotation of a model: scalars, enums, lists of them, JSON for the rest."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return JSON | None
    if origin is Annotated:
        return value_type(arguments[0], owner, name)
    if origin in (Union, UnionType):
        inner = [one for one in arguments if one is not NoneType]
        made = value_type(inner[0], owner, name) if len(inner) == 1 else JSON
        return made | None if NoneType in arguments else made
    if origin in (list, tuple, set, frozenset):
        return list[value_type(arguments[0], owner, name)]  # type: ignore[misc]
    if origin is Literal:
        return enum_of(f"{owner}{camel('x_' + name)[1:]}", arguments, None) if are_names(arguments) else str
    if isinstance(annotation, type):
        if issubclass(annotation, StrEnum):
            values = tuple(str(one) for one in annotation)
            return enum_of(annotation.__name__, values, annotation.__doc__) if are_names(values) else str
        plain = {
            UUID: Uuid,
            datetime: DateTime,
            AwareDatetime: DateTime,
            date: Date,
            bool: bool,
            str: str,
            float: float,
        }
        if annotation in plain:
            return plain[annotation]
        if annotation is int:
            return BigInt if name in BIG else int
    return JSON


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(one) for one in get_args(annotation) if one is not NoneType]
    return next((one for one in found if one is not None), None)


def _annotations(kind: GraphType) -> dict[str, Any]:
    """Every member that a model shows and the noun selects, with its annotation; the first model decides."""
    found: dict[str, Any] = {}
    for model in kind.models:
        for name, one in model.model_fields.items():
            if name in NOUNS[kind.noun].fields:
                found.setdefault(name, one.annotation)
    return found | kind.extra


def _object(name: str, doc: str, fields: dict[str, tuple[str, Any]], base: type = object) -> type:
    """A Strawberry type over dictionaries: {member: (name in the graph, type)}."""
    made = CLASSES.get(name) or type(name, (base,), {})
    CLASSES[name] = made
    made.__doc__ = doc
    made.__annotations__ = {member: given for member, (_, given) in fields.items()}
    for member, (shown, _) in fields.items():
        setattr(made, member, strawberry.field(name=shown, description=describe(name, shown)))
    made.is_type_of = classmethod(lambda cls, source, info: _is_a(name, source))  # type: ignore[attr-defined]
    MEMBERS[name] = {shown: member for member, (shown, _) in fields.items()}
    return strawberry.type(made, name=name, description=doc)


def _is_a(name: str, source: Any) -> bool:
    return isinstance(source, dict) and source.get("__typename", name) == name


def describe(owner: str, shown: str) -> str:
    """What a field is, told by its name where nothing better is known."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in shown)
    return DESCRIPTIONS.get(shown, f"{words[:1].upper()}{words[1:]} of the {owner}.")


DESCRIPTIONS = {
    "id": "`Type:key`, accepted by REST too.",
    "viewerCan": "What this caller may do with it now, and what each call would answer. The write decides afresh.",
    "version": "Grows with each change of its header.",
    "dueAt": "When it is due.",
    "slaState": "The worst state among the deadlines that run.",
    "serverTime": "The clock that deadlines were compared with.",
    "disclaimer": "Decision support, not legal advice.",
}


def _build() -> None:
    for kind in TYPES.values():
        CLASSES[kind.name] = type(kind.name, (Node,), {})
    for kind in TYPES.values():
        noun, fields = NOUNS[kind.noun], {}
        for member, annotation in _annotations(kind).items():
            shown = camel(kind.rename.get(member, member))
            declared, model = noun.fields[member], _model_in(annotation)
            if member == "id" and shown == "id":
                continue
            if model is AllowedTransition:
                TARGETS[kind.name, member] = "Offer"
                fields[member] = ("viewerCan", list[Offer])
            elif isinstance(declared, One | Many) and _of_noun(declared.noun, model):
                fields[member] = (shown, _related(kind.name, member, declared))
            elif isinstance(declared, One | Many | Group):
                assert model is not None
                fields[member] = (shown, _grouped(kind.name, member, declared, model, annotation))
            else:
                fields[member] = (shown, value_type(annotation, kind.name, member))
        for member in kind.relations:
            fields[member] = (camel(member), _related(kind.name, member, noun.fields[member]))
        _object(kind.name, kind.doc, fields, Node)
        MEMBERS[kind.name]["id"] = GLOBAL_ID


def _of_noun(noun: str, model: type[BaseModel] | None) -> bool:
    """Whether a relation leads to the type of that noun; a model of its own means a smaller view, such as a name."""
    return any(kind.noun == noun and model in kind.models for kind in TYPES.values())


def _related(owner: str, member: str, declared: Any) -> Any:
    target = NOUNS[declared.noun].label
    TARGETS[owner, member] = target
    made = CLASSES[target]
    return list[made] if isinstance(declared, Many) else made | None  # type: ignore[valid-type]


def _grouped(owner: str, member: str, declared: Any, model: type[BaseModel], annotation: Any) -> Any:
    """A small object: a group of fields, or a view of a related thing that shows less than its type."""
    name = f"{owner}{camel('x_' + member)[1:]}"
    fields = {one: (camel(one), value_type(given.annotation, name, one)) for one, given in model.model_fields.items()}
    made = _object(name, (model.__doc__ or name).strip(), fields)
    TARGETS[owner, member] = name
    if isinstance(declared, Many):
        return list[made]  # type: ignore[valid-type]
    return made | None if NoneType in get_args(annotation) else made


TITLES = {
    "Bands": "HeatMapBands",
    "BandsOfMaps": "HeatMapTotals",
    "Cell": "HeatMapCell",
    "PreviewOut": "ObligationPreview",
    "States": "OccurrenceStates",
    "Times": "IncidentTimes",
    "Total": "IncidentMetricsTotal",
    "Unasked": "UnaskedFact",
    "VersionName": "PlaybookVersion",
}
"""Names for models whose own are clear only where they stand."""
WHOLE: dict[str, type[BaseModel]] = {}


def object_of(model: type[BaseModel]) -> type:
    """The type of an object that REST answers whole, with the objects in it."""
    name, fields = TITLES.get(model.__name__, model.__name__), dict[str, tuple[str, Any]]()
    if name in CLASSES:
        assert WHOLE.setdefault(name, model) is model or name in TYPES, f"two types are called {name}"
        return CLASSES[name]
    CLASSES[name], WHOLE[name] = type(name, (), {}), model
    for member, one in model.model_fields.items():
        inner = _model_in(one.annotation)
        given: type = object
        if inner is AllowedTransition:
            TARGETS[name, member], given = "Offer", Offer
        elif inner is not None:
            given = object_of(inner)
            TARGETS[name, member] = given.__name__
        shown = "viewerCan" if inner is AllowedTransition else camel(member)
        kind = value_type(one.annotation, name, member) if inner is None else _as(one.annotation, given)
        fields[member] = (shown, kind)
    return _object(name, (model.__doc__ or name).strip(), fields)


def _as(annotation: Any, made: type) -> Any:
    """The annotation with the model in it replaced by the type made of it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _as(arguments[0], made)
    if origin in (Union, UnionType):
        inner = _as(next(one for one in arguments if one is not NoneType), made)
        return inner | None if NoneType in arguments else inner
    return list[_as(arguments[0], made)] if origin is list else made  # type: ignore[misc]


_build()
