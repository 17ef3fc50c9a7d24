"""The root fields of a query, declared: lists as pages, and what REST answers with one object.

A page is the list of REST: its endpoint reads the filters and asks, in the shape that was selected. So a filter, a
permission or a check that REST has, the graph has.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from fastapi.params import Query
from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo

from api.graphql.cost import PAGED
from api.graphql.objects import camel
from api.graphql.types import TYPES
from api.rest import (
    actions,
    ai_services,
    clients,
    connections,
    controls,
    erasures,
    event_types,
    exceptions,
    identities,
    identity_providers,
    incident_metrics,
    incidents,
    keys,
    me,
    obligation_previews,
    occurrences,
    people,
    playbooks,
    risk_entries,
    risks,
    service_accounts,
    settings,
    sources,
    timeline,
    tools,
    webhook_endpoints,
    work,
)
from app.statements import NOUNS

Endpoint = Callable[..., Awaitable[Any]]
OF_LIST = frozenset({"call", "cursor", "limit", "sort", "expand"})


@dataclass(frozen=True, slots=True)
class Taken:
    """What an endpoint takes under one name: its annotation, whether it must be given, whether it is a JSON body."""

    annotation: Any
    needed: bool = False
    body: bool = False


def taken_by(endpoint: Endpoint) -> dict[str, Taken]:
    """Everything that an endpoint of REST takes, by the name that REST gives it; what pages a list is left out."""
    found: dict[str, Taken] = {}
    hints = get_type_hints(endpoint, include_extras=True)
    for one in inspect.signature(endpoint).parameters.values():
        if one.name in OF_LIST:
            continue
        model = _model(hints[one.name])
        if model is None:
            found[one.name] = Taken(hints[one.name], one.default is inspect.Parameter.empty)
        elif any(isinstance(part, Query) for part in getattr(hints[one.name], "__metadata__", ())):
            found |= {
                name: Taken(_annotated(given)) for name, given in model.model_fields.items() if name not in OF_LIST
            }
        else:
            found[one.name] = Taken(model, needed=True, body=True)
    return found


def _annotated(one: FieldInfo) -> Any:
    return Annotated[(one.annotation, *one.metadata)] if one.metadata else one.annotation


def _model(annotation: Any) -> type[BaseModel] | None:
    inner = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def called_with(endpoint: Endpoint, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the parameters of the endpoint: those of a query that it takes as one model are put together.

    Raises ValidationError for what that model refuses.
    """
    found: dict[str, Any] = {}
    hints = get_type_hints(endpoint, include_extras=True)
    for name in inspect.signature(endpoint).parameters:
        model = _model(hints[name])
        if name in values:
            found[name] = values[name]
        elif model is not None:
            members = model.model_fields.items()
            found[name] = model.model_validate({one.alias or key: values[key] for key, one in members if key in values})
    return found


@dataclass(frozen=True, slots=True)
class Page:
    """A connection: the list that `endpoint` of REST answers, of things of type `of`."""

    name: str
    of: str
    endpoint: Endpoint
    doc: str
    ids: Mapping[str, str]  # path parameter of the endpoint -> type that its global id names, if it has one
    filter: type[BaseModel]

    @property
    def sorts(self) -> Sequence[str]:
        """What it may be sorted by."""
        if "sort" not in inspect.signature(self.endpoint).parameters:
            return ()
        return tuple(NOUNS[TYPES[self.of].noun].sorts)


@dataclass(frozen=True, slots=True)
class Whole:
    """What an endpoint of REST answers whole: one object of `model`, or with `many` all of a bounded list of them."""

    name: str
    model: type[BaseModel]
    endpoint: Endpoint
    doc: str
    many: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)  # what the endpoint is always given

    @property
    def arguments(self) -> dict[str, tuple[str, Taken]]:
        """What it takes, by the name in the graph, with the name in REST. A body is the `input`."""
        taken = {name: one for name, one in taken_by(self.endpoint).items() if name not in self.fixed}
        return {("input" if one.body else camel(name)): (name, one) for name, one in taken.items()}


def _page(name: str, of: str, endpoint: Endpoint, doc: str, **ids: str) -> Page:
    fields: dict[str, Any] = {
        given: (taken.annotation, None) for given, taken in taken_by(endpoint).items() if given not in ids
    }
    config = ConfigDict(extra="forbid", frozen=True)
    PAGED.add(name)
    return Page(name, of, endpoint, doc, ids, create_model(f"{of}Filter", __config__=config, **fields))


PAGES: dict[str, Page] = {
    one.name: one
    for one in (
        _page("incidents", "Incident", incidents.page, "Incidents, newest number first."),
        _page("timeline", "TimelineEvent", timeline.page, "The timeline of an incident.", incident_id="Incident"),
        _page("clients", "Client", clients.list_clients, "Customers of the provider."),
        _page("people", "Person", people.list_people, "People of the provider, and outside ones with a part."),
        _page("risks", "Risk", risks.page, "The risk register."),
        _page("riskRevisions", "RiskRevision", risks.revisions, "Changes of one risk, newest first.", ref="Risk"),
        _page("tools", "Tool", tools.page, "The register of AI tools."),
        _page("toolDecisions", "ToolDecision", tools.decisions, "Changes of tools, newest first."),
        _page("keys", "Key", keys.list_keys, "Credentials, without their secrets."),
        _page("serviceAccounts", "ServiceAccount", service_accounts.list_service_accounts, "Machines that call."),
        _page("sources", "Source", sources.list_sources, "Systems that send alerts."),
        _page("erasures", "Erasure", erasures.list_erasures, "Erasures of an incident.", incident_id="Incident"),
        _page("identityProviders", "IdentityProvider", identity_providers.list_identity_providers, "Who vouches."),
        _page("identities", "Identity", identities.list_identities, "What people sign in with."),
        _page(
            "controlOccurrences",
            "ControlOccurrence",
            occurrences.page,
            "What was expected of a control in a period, whatever became of it.",
            control_id="",
        ),
        _page("auditExceptions", "AuditException", exceptions.page, "Deviations and late reviews, oldest first."),
        _page("hookDeliveries", "HookDelivery", sources.list_deliveries, "What a source sent.", id="Source"),
        _page(
            "unmappedClients",
            "UnmappedClient",
            sources.list_unmapped_clients,
            "Names of clients that mean nobody.",
            id="Source",
        ),
        _page("connections", "Connection", connections.list_connections, "Systems that we call."),
        _page("webhookEndpoints", "WebhookEndpoint", webhook_endpoints.list_endpoints, "Where events are sent."),
        _page(
            "webhookDeliveries",
            "WebhookDelivery",
            webhook_endpoints.list_deliveries,
            "What an endpoint is sent.",
            id="WebhookEndpoint",
        ),
    )
}
WHOLES: dict[str, Whole] = {
    one.name: one
    for one in (
        Whole("viewer", me.Me, me.me, "Who is asking, and what their roles could allow."),
        Whole("duties", work.Work, work.mine, "What waits for the caller, due first."),
        Whole("incidentCounts", incidents.Counts, incidents.counts, "How many incidents there are."),
        Whole(
            "incidentMetrics",
            incident_metrics.IncidentMetrics,
            incident_metrics.incidents,
            "Counts of incidents, times to acknowledge, contain and close them, and how many deadlines were kept.",
        ),
        Whole(
            "proposedInputs",
            actions.ProposedInput,
            actions.proposed_inputs,
            "What may be filled in beforehand, from the AI services that the incident names.",
            many=True,
        ),
        Whole("settings", settings.Settings, settings.settings, "The tenant's settings."),
        Whole("eventTypes", event_types.EventType, event_types.list_types, "What events tell.", many=True),
        Whole("control", controls.Control, controls.read, "One control."),
        Whole("controls", controls.Control, controls.page, "The SOC 2 criteria.", many=True),
        Whole(
            "occurrenceCounts",
            occurrences.OccurrenceCounts,
            occurrences.counts,
            "How many of a control's occurrences in a period are in each state.",
        ),
        Whole("playbook", playbooks.Playbook, playbooks.read, "The newest version of a playbook, whole."),
        Whole("playbookVersion", playbooks.Playbook, playbooks.read_version, "One version of a playbook, whole."),
        Whole(
            "playbookDifferences",
            playbooks.PlaybookDifferences,
            playbooks.differ,
            "What changed from one version of a playbook to another.",
        ),
        Whole(
            "playbooks",
            playbooks.PlaybookSummary,
            playbooks.page,
            "Every version of every playbook, 200 at most.",
            many=True,
            fixed={"limit": 200},
        ),
        Whole(
            "playbookVersions",
            playbooks.PlaybookSummary,
            playbooks.versions,
            "The versions of one playbook, 200 at most.",
            many=True,
            fixed={"limit": 200},
        ),
        Whole(
            "obligationPreview",
            obligation_previews.PreviewOut,
            obligation_previews.preview,
            "Who would have to be told if these facts held. Decision support, not legal advice.",
        ),
        Whole("riskProposal", risks.Proposal, risks.proposal, "What an incident proposes for a risk."),
        Whole("heatMap", risk_entries.HeatMap, risk_entries.heat_map, "How many risks lie where."),
        Whole(
            "keyIndicators",
            risk_entries.KeyIndicators,
            risk_entries.indicators,
            "Key risk indicators to choose from.",
        ),
        Whole(
            "aiServices",
            ai_services.AiService,
            ai_services.search,
            "Well-known AI services whose name, alias, vendor or domain holds every word of `q`; all without one.",
            many=True,
        ),
        Whole(
            "connectionSystems",
            connections.ConnectedSystem,
            connections.systems,
            "What each system that can be called asks for.",
            many=True,
        ),
        Whole(
            "vendorChecklist",
            ai_services.VendorCheck,
            ai_services.vendor_checklist,
            "The questions of a vendor assessment.",
            many=True,
        ),
    )
}
