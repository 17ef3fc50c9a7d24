"""The object types of the graph, made of the answer models of REST: what a thing is, is declared once.

A type stands on a noun of the read path. Its fields are those members of the models that the noun can select, and its
relations; `allowed_transitions` is called `viewerCan` here, since it is what this caller may do.
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from api.rest import (
    actions,
    clients,
    connections,
    documentation,
    erasures,
    evidence,
    exceptions,
    follow_ups,
    identities,
    identity_providers,
    incidents,
    keys,
    links,
    notifications,
    obligations,
    occurrences,
    people,
    risks,
    service_accounts,
    sign_off,
    sources,
    steps,
    timeline,
    tools,
    webhook_endpoints,
)
from app.statements import NOUNS

GLOBAL_ID = "global_id"


@dataclass(frozen=True, slots=True)
class GraphType:
    """An object type: its noun, the models its fields come from, the operation that reads it, and relations.

    `relations` are members of the noun that no model shows: {member: name of the type}. `sizes` says how many rows a
    list is reckoned to have when the cost of a query is told beforehand.
    """

    noun: str
    models: tuple[type[BaseModel], ...]
    reads: str
    doc: str
    relations: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)  # further plain fields of the noun, with their types
    rename: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in the graph."""
        return NOUNS[self.noun].label


TYPES: dict[str, GraphType] = {
    one.name: one
    for one in (
        GraphType(
            "incident",
            (incidents.Incident, incidents.Summary),
            "incident.read",
            "An incident with everything that hangs from it.",
            {
                "clients": "Client",
                "evidence": "Evidence",
                "notifications": "Notification",
                "obligations": "Obligation",
                "follow_ups": "FollowUp",
                "links": "Link",
                "signatures": "Signature",
                "exceptions": "Exception",
                "control_occurrences": "ControlOccurrence",
            },
            {"evidence_count": int},
        ),
        GraphType(
            "step",
            (steps.Step,),
            "incident.read",
            "One step of the playbook.",
            {"incident": "Incident"},
            rename={"id": "key"},
        ),
        GraphType(
            "action",
            (actions.Action,),
            "incident.read",
            "One action of a step.",
            {"step": "Step", "incident": "Incident"},
            rename={"id": "key"},
        ),
        GraphType(
            "document",
            (documentation.Document, incidents.DocumentationOf),
            "document.read",
            "One documentation item, D01 to D12.",
            rename={"id": "key"},
        ),
        GraphType("participant", (incidents.ParticipantOf,), "incident.read", "Somebody with a part in the incident."),
        GraphType(
            "external_reference",
            (incidents.Reference,),
            "incident.read",
            "A ticket or alert elsewhere that is this incident.",
            rename={"id": "external_id"},
        ),
        GraphType("evidence", (evidence.Evidence,), "evidence.read", "A file that proves something."),
        GraphType(
            "notification",
            (notifications.Notification,),
            "notification.read",
            "A message about the incident, from draft to sent.",
            {"incident": "Incident"},
        ),
        GraphType(
            "obligation",
            (obligations.Obligation,),
            "obligation.read",
            "Who may have to be told, by when. Decision support, not legal advice.",
            {"incident": "Incident"},
        ),
        GraphType("follow_up", (follow_ups.FollowUp,), "incident.read", "Work that outlives the incident."),
        GraphType("link", (links.Link,), "incident.read", "A link to another incident."),
        GraphType("signature", (sign_off.Signature,), "incident.read", "A signature under the record."),
        GraphType("exception", (exceptions.ExceptionEntry,), "incident.read", "A deviation that an auditor will see."),
        GraphType(
            "audit_exception",
            (exceptions.AuditException,),
            "audit.read",
            "A deviation of an incident or a late review.",
        ),
        GraphType("timeline_event", (timeline.TimelineEvent,), "timeline.read", "One event of the timeline."),
        GraphType(
            "control_occurrence",
            (occurrences.Occurrence,),
            "incident.read",
            "What a control asks of a step, and whether it happened in time.",
        ),
        GraphType("erasure", (erasures.Erasure,), "timeline.read", "Text of the record that is to go, or is gone."),
        GraphType("client", (clients.Client, clients.ClientSummary), "client.read", "A customer of the provider."),
        GraphType(
            "client_reference",
            (clients.Reference,),
            "client.read",
            "A client's id elsewhere.",
            rename={"id": "external_id"},
        ),
        GraphType(
            "person", (people.Person, people.PersonSummary), "person.read", "Somebody of the provider, or outside."
        ),
        GraphType(
            "risk",
            (risks.Risk, risks.RiskSummary),
            "risk.read",
            "An entry of the risk register.",
            {"revisions": "RiskRevision"},
        ),
        GraphType("risk_revision", (risks.Revision,), "risk.read", "A change of a risk, proposed or accepted."),
        GraphType("tool", (tools.Tool, tools.ToolSummary), "tool.read", "An AI tool of the register."),
        GraphType("tool_assessment", (tools.ToolAssessment,), "tool.read", "A run through the vendor checklist."),
        GraphType("tool_decision", (tools.ToolDecision,), "tool.read", "A change of a tool's status, with approvers."),
        GraphType("service_account", (service_accounts.ServiceAccount,), "key.write", "A machine that calls."),
        GraphType("key", (keys.Key,), "key.read", "A credential, without its secret."),
        GraphType(
            "identity_provider",
            (identity_providers.IdentityProvider,),
            "identity_provider.read",
            "Who vouches for the people of the console.",
        ),
        GraphType("identity", (identities.Identity,), "key.read", "A person as an identity provider knows them."),
        GraphType("source", (sources.Source,), "source.read", "A system that sends alerts."),
        GraphType("unmapped_client", (sources.UnmappedClient,), "source.read", "A name of a client that means nobody."),
        GraphType("hook_delivery", (sources.HookDelivery,), "source.read", "What a source sent, and what came of it."),
        GraphType("connection", (connections.Connection,), "connection.read", "A system that we call."),
        GraphType("webhook_endpoint", (webhook_endpoints.WebhookEndpoint,), "endpoint.read", "Where events are sent."),
        GraphType(
            "webhook_delivery",
            (webhook_endpoints.WebhookDelivery,),
            "endpoint.read",
            "One event on its way to one endpoint.",
        ),
    )
}
