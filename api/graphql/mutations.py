"""Mutations: every write of REST under the name of what it does, answered by a union of its success and refusals.

The endpoint of REST does the work, so nothing is decided here. What was selected of the changed thing is read in the
transaction that changed it, before the commit.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

import orjson
import strawberry
from pydantic import BaseModel, RootModel, ValidationError
from strawberry.types import Info

from api.errors import DoorRefusal, request_id
from api.graphql.calls import MutationCall
from api.graphql.objects import CLASSES, camel, described
from api.graphql.problems import REFUSALS, problem_of
from api.graphql.resolving import NEEDED, input_of, members_of, plain_value, resolver_of
from api.graphql.roots import own_ids, read_thing, told, typed
from api.graphql.scalars import JSON
from api.graphql.selection import Wanted, fields_of, shape_of, wanted
from api.graphql.types import TYPES
from api.rest import (
    actions,
    clients,
    connections,
    documentation,
    erasures,
    follow_ups,
    identities,
    identity_providers,
    incidents,
    keys,
    links,
    notifications,
    obligations,
    participants,
    people,
    reports,
    risk_entries,
    risks,
    service_accounts,
    settings,
    sign_off,
    sources,
    steps,
    timeline,
    tools,
    webhook_endpoints,
)
from app.answers import Answer
from app.authentication import Principal
from app.database import Db
from app.incidents import incident_ref, visible_incident
from app.offers import IN_FULL
from domain.refusals import Refusal

Endpoint = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One write. `of` is the type of what it changes; empty where only its incident can be shown."""

    name: str
    endpoint: Endpoint
    of: str = ""

    @property
    def path(self) -> list[str]:
        """The parameters of its path."""
        return [name for name in inspect.signature(self.endpoint).parameters if name not in ("call", self.body)]

    @property
    def body(self) -> str | None:
        """The parameter that takes the body."""
        return next((name for name, kind in self._hints.items() if _is_model(kind)), None)

    @property
    def model(self) -> type[BaseModel] | None:
        """The body it takes."""
        return self._hints[self.body] if self.body else None

    @property
    def _hints(self) -> dict[str, Any]:
        return {name: kind for name, kind in get_type_hints(self.endpoint).items() if name != "return"}

    @property
    def title(self) -> str:
        """Its name as the beginning of the names of its types."""
        return self.name[:1].upper() + self.name[1:]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


MUTATIONS: dict[str, Mutation] = {
    one.name: one
    for one in (
        Mutation("reportIncident", reports.report, "Incident"),
        Mutation("upsertIncident", reports.upsert, "Incident"),
        Mutation("editIncident", incidents.edit, "Incident"),
        Mutation("transitionIncident", incidents.transition, "Incident"),
        Mutation("assignIncident", participants.assign, "Incident"),
        Mutation("transitionStep", steps.transition, "Step"),
        Mutation("assignStep", steps.assign, "Step"),
        Mutation("transitionAction", actions.transition, "Action"),
        Mutation("setParticipant", participants.write, "Participant"),
        Mutation("writeDocument", documentation.write, "Document"),
        Mutation("draftNotification", notifications.draft, "Notification"),
        Mutation("editNotification", notifications.edit, "Notification"),
        Mutation("transitionNotification", notifications.transition, "Notification"),
        Mutation("decideObligation", obligations.decide, "Obligation"),
        Mutation("delayObligation", obligations.delay, "Obligation"),
        Mutation("liftDelay", obligations.lift_delay, "Obligation"),
        Mutation("addFollowUp", follow_ups.add, "FollowUp"),
        Mutation("editFollowUp", follow_ups.edit, "FollowUp"),
        Mutation("addLink", links.add, "Link"),
        Mutation("releaseLink", links.let_go, "Link"),
        Mutation("addExternalReference", links.refer),
        Mutation("requestErasure", erasures.ask),
        Mutation("transitionErasure", erasures.decide),
        Mutation("addNote", timeline.note, "TimelineEvent"),
        Mutation("signOff", sign_off.sign),
        Mutation("addRisk", risk_entries.add, "Risk"),
        Mutation("reviseRisk", risks.revise, "RiskRevision"),
        Mutation("transitionRiskRevision", risks.transition, "RiskRevision"),
        Mutation("requestTool", tools.add, "Tool"),
        Mutation("editTool", tools.edit, "Tool"),
        Mutation("assessTool", tools.assess, "ToolAssessment"),
        Mutation("decideTool", tools.decide, "ToolDecision"),
        Mutation("transitionToolDecision", tools.transition, "ToolDecision"),
        Mutation("addClient", clients.add_client, "Client"),
        Mutation("editClient", clients.edit_client, "Client"),
        Mutation("upsertClient", clients.put_by_reference, "Client"),
        Mutation("addPerson", people.add_person, "Person"),
        Mutation("editPerson", people.edit_person, "Person"),
        Mutation("enrolPerson", people.enrol),
        Mutation("addKey", keys.add_key, "Key"),
        Mutation("revokeKey", keys.revoke, "Key"),
        Mutation("addServiceAccount", service_accounts.add_service_account, "ServiceAccount"),
        Mutation("editServiceAccount", service_accounts.edit_service_account, "ServiceAccount"),
        Mutation("addIdentityProvider", identity_providers.add_identity_provider, "IdentityProvider"),
        Mutation("editIdentityProvider", identity_providers.edit_identity_provider, "IdentityProvider"),
        Mutation("removeIdentityProvider", identity_providers.remove_identity_provider),
        Mutation("linkIdentity", identities.link_identity, "Identity"),
        Mutation("removeIdentity", identities.delete_identity),
        Mutation("editSettings", settings.edit_settings),
        Mutation("addSource", sources.add_source, "Source"),
        Mutation("editSource", sources.edit_source, "Source"),
        Mutation("rotateSource", sources.rotate, "Source"),
        Mutation("retryDelivery", sources.retry, "HookDelivery"),
        Mutation("addConnection", connections.add_connection, "Connection"),
        Mutation("editConnection", connections.edit_connection, "Connection"),
        Mutation("rotateConnection", connections.rotate, "Connection"),
        Mutation("checkConnection", connections.check),
        Mutation("retireConnection", connections.retire, "Connection"),
        Mutation("addWebhookEndpoint", webhook_endpoints.add_endpoint, "WebhookEndpoint"),
        Mutation("editWebhookEndpoint", webhook_endpoints.edit_endpoint, "WebhookEndpoint"),
        Mutation("retireWebhookEndpoint", webhook_endpoints.retire, "WebhookEndpoint"),
        Mutation("rotateWebhookEndpoint", webhook_endpoints.rotate, "WebhookEndpoint"),
        Mutation("testWebhookEndpoint", webhook_endpoints.send_test, "WebhookDelivery"),
        Mutation("sendWebhookSample", webhook_endpoints.send_sample, "WebhookDelivery"),
        Mutation("replayWebhookDelivery", webhook_endpoints.replay_one, "WebhookDelivery"),
        Mutation("replayWebhookDeliveries", webhook_endpoints.replay_range),
    )
}
KEY_IN_ANSWER = {"Participant": "person_id", "TimelineEvent": "seq", "Risk": "ref"}
WITHIN_INCIDENT = frozenset({"Step", "Action", "Document", "Participant", "TimelineEvent"})


def _field_of(label: str) -> str:
    return label[:1].lower() + label[1:]


def _success(mutation: Mutation) -> type:
    fields: dict[str, Any] = {}
    if mutation.of:
        fields[_field_of(mutation.of)] = CLASSES[mutation.of] | None
    if "incident_id" in mutation.path and mutation.of != "Incident":
        fields["incident"] = CLASSES["Incident"] | None
    fields["answer"] = JSON | None
    made = type(f"{mutation.title}Success", (), {"__annotations__": fields})
    words = {name: f"The {name} as it is now." for name in fields} | {"answer": "What REST answers, whole."}
    made = described(**words)(made)
    return strawberry.type(made, description=f"`{mutation.name}` is done.")


def mutation_type() -> type:
    """The root of all mutations."""
    fields = {name: _field(mutation) for name, mutation in MUTATIONS.items()}
    return strawberry.type(type("Mutation", (), fields), description="What can be changed.")


def _field(mutation: Mutation) -> Any:
    success = _success(mutation)
    arguments: dict[str, Any] = {camel(name): (strawberry.ID, NEEDED) for name in mutation.path}
    model = mutation.model
    if model is not None:
        made: Any = JSON if issubclass(model, RootModel) else input_of(f"{mutation.title}Input", model)
        arguments["input"] = (made, NEEDED)
    arguments["idempotencyKey"] = (str | None, None)
    arguments["ifMatch"] = (str | None, None)

    async def resolve(info: Info[Any, Any], given: dict[str, Any]) -> Any:
        try:
            return await _run(mutation, success, info, given)
        except DoorRefusal as refusal:
            if refusal.code in ("unauthenticated", "rate-limited", "unavailable"):
                raise
            return problem_of(refusal, request_id(info.context["request"]))
        except Refusal as refusal:
            return problem_of(refusal, request_id(info.context["request"]))

    named = strawberry.union(f"{mutation.title}Result", description=f"What `{mutation.name}` came to.")
    union: Any = Annotated.__class_getitem__((_either(success), named))  # type: ignore[attr-defined]
    doc = (inspect.getdoc(mutation.endpoint) or mutation.title).split("\n\n")[0]
    resolver = resolver_of(arguments, union, resolve, raw=True)
    return strawberry.field(resolver=resolver, name=mutation.name, description=doc)


def _either(success: type) -> Any:
    made: Any = success
    for refusal in REFUSALS:
        made = made | refusal
    return made


async def _run(mutation: Mutation, success: type, info: Info[Any, Any], given: dict[str, Any]) -> Any:
    ids = own_ids(mutation.endpoint, {name: given[camel(name)] for name in mutation.path})
    values: dict[str, Any] = {name: typed(mutation.endpoint, name, text) for name, text in ids.items()}
    if mutation.model is not None and mutation.body is not None:
        members = members_of(given["input"])
        try:
            values[mutation.body] = mutation.model.model_validate(members)
        except ValidationError as error:
            raise told(error) from None

    async def select(db: Db, principal: Principal, answer: Answer) -> dict[str, Any]:
        return await _selected(mutation, success, info, db, principal, answer, values)

    call = MutationCall(
        info.context["request"],
        mutation.name,
        {name: plain_value(value) for name, value in given.items() if name not in ("idempotencyKey", "ifMatch")},
        select,
        key=given.get("idempotencyKey"),
        if_match=given.get("ifMatch"),
    )
    await mutation.endpoint(call, **values)
    return success(**(call.selected or {}))


async def _selected(
    mutation: Mutation,
    success: type,
    info: Info[Any, Any],
    db: Db,
    principal: Principal,
    answer: Answer,
    values: Mapping[str, Any],
) -> dict[str, Any]:
    """What the document selects of the changed thing and of its incident."""
    told_of = None if answer.body is None else orjson.loads(answer.body)
    found: dict[str, Any] = {"answer": told_of}
    incident = values.get("incident_id")
    if mutation.of:
        key = _key(mutation.of, told_of)
        if mutation.of in WITHIN_INCIDENT:
            key = f"{await visible_incident(db, incident_ref(str(incident)))}:{key}"
        found[_field_of(mutation.of)] = await _read(mutation.of, key, success, info, db, principal)
    if incident is not None and mutation.of != "Incident":
        id = await visible_incident(db, incident_ref(str(incident)))
        found["incident"] = await _read("Incident", str(id), success, info, db, principal)
    return found


def _key(label: str, answer: Any) -> str:
    return str(answer[KEY_IN_ANSWER.get(label, "id")])


async def _read(label: str, key: str, success: type, info: Info[Any, Any], db: Db, principal: Principal) -> Any:
    asked = _asked(label, success.__name__, info)
    if asked is None:
        return None
    text = await read_thing(db, principal, TYPES[label], key, shape_of(asked, label), asked, IN_FULL)
    return None if text is None else orjson.loads(text)


def _asked(label: str, success: str, info: Info[Any, Any]) -> Wanted | None:
    raw = info._raw_info
    sets = [
        node.selection_set
        for root in raw.field_nodes
        for node in fields_of(root.selection_set, success, raw.fragments, exact=False)
        if node.name.value == _field_of(label)
    ]
    return wanted(label, sets, raw.fragments, exact=False) if sets else None
