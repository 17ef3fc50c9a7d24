"""Shapes of the read path, derived from the models of the public surface, so that the surface is declared once."""

from functools import cache
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel

from app.statements import NOUNS, Field, Pinned, Shape


@cache
def shape_of(model: type[BaseModel], noun: str) -> Shape:
    """The shape of `noun` that gives exactly the members of `model`, in their order.

    A member that is a model is followed where the noun has a relation or a group of that name; where the noun has a
    plain field the value is JSON that the database or the playbook holds whole.
    """
    kind, parts = NOUNS[noun], []
    for name, member in model.model_fields.items():
        key = member.serialization_alias or member.alias or name
        assert name in kind.fields, f"{model.__name__}.{name} is no field of {noun}"
        declared, inner = kind.fields[name], _model_in(member.annotation)
        sub = None
        if not isinstance(declared, Field | Pinned):
            assert inner is not None, f"{model.__name__}.{name} needs a model: it is a relation"
            other = getattr(declared, "noun", None)
            sub = shape_of(inner, other) if other else Shape(tuple((one, one, None) for one in inner.model_fields))
        parts.append((key, name, sub))
    return Shape(tuple(parts))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model within `Model`, `list[Model]`, `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(one) for one in get_args(annotation) if one is not NoneType]
    return next((one for one in found if one is not None), None)
