"""Who takes part: clients, people, service accounts, keys, sources, connections."""

from app.nouns.columns import instants, plain
from app.statements import Field, Filter, Many, Noun, Sort, declare

NAME = Sort("{t}.name", "text")
ACTIVE = {"active": Filter("{t}.active = {v}::boolean")}


def _counted(status: str) -> Field:
    """How many deliveries of an endpoint are in a state, at most 1,000: enough to see that something is wrong."""
    return Field(
        "(select count(*) from (select 1 from webhook_deliveries d where d.tenant_id = {t}.tenant_id"
        f" and d.endpoint_id = {{t}}.id and d.status = '{status}' limit 1000) counted)"
    )


declare(
    Noun(
        name="client",
        table="clients",
        fields=plain("id version name hipaa_role gdpr_role jurisdictions profile contract active")
        | instants("created_at updated_at")
        | {
            "external_references": Many(
                "client_reference",
                "{t}.tenant_id = {p}.tenant_id and {t}.client_id = {p}.id",
                "{t}.created_at, {t}.external_id",
            )
        },
        filters=ACTIVE,
        sorts={"name": NAME},
        sort="name",
    )
)

declare(
    Noun(
        name="client_reference",
        table="client_references",
        key="{t}.external_id",
        key_type="text",
        fields=plain("system instance key url") | {"id": Field("{t}.external_id")} | instants("created_at"),
        sorts={"id": Sort("{t}.external_id", "text")},
        sort="id",
    )
)

declare(
    Noun(
        name="person",
        table="people",
        fields=plain("id version kind name email user_name manager_id roles active incident_ids created_by")
        | instants("expires_at created_at updated_at"),
        filters=ACTIVE
        | {
            "role": Filter("{v}::text = any({t}.roles)"),
            "kind": Filter("{t}.kind = {v}::text"),
            "user_name": Filter("{t}.user_name = {v}::text"),
        },
        sorts={"name": NAME},
        sort="name",
    )
)

declare(
    Noun(
        name="service_account",
        table="service_accounts",
        fields=plain("id name active source_id created_by") | instants("created_at"),
        filters=ACTIVE,
        sorts={"created_at": Sort("{t}.created_at", "timestamptz")},
        sort="created_at",
    )
)

declare(
    Noun(
        name="key",
        table="api_keys",
        fields=plain("id name prefix person_id service_account_id roles client_ids created_by")
        | instants("period_from period_to expires_at last_used_at revoked_at created_at")
        | {"is_active": Field("({t}.revoked_at is null and coalesce({t}.expires_at > {now}, true))")},
        filters={
            "person": Filter("{t}.person_id = {v}::uuid"),
            "service_account": Filter("{t}.service_account_id = {v}::uuid"),
        },
        sorts={"created_at": Sort("{t}.created_at", "timestamptz")},
        sort="created_at",
    )
)

declare(
    Noun(
        name="source",
        table="sources",
        fields=plain(
            "id version name system instance mapping defaults default_client_id client_map limits status created_by"
            " connection_id"
        )
        | instants("created_at updated_at previous_secret_until silent_since")
        | {"has_secret": Field("({t}.secret is not null)"), "scheme": Field("{t}.scheme")},
        filters={"system": Filter("{t}.system = {v}::text"), "status": Filter("{t}.status = {v}::text")},
        sorts={"created_at": Sort("{t}.created_at", "timestamptz")},
        sort="created_at",
    )
)

declare(
    Noun(
        name="hook_delivery",
        table="hook_deliveries",
        # The body is for the one who asks for this delivery; lists do not carry it.
        fields=plain("id source_id dedupe_key content_type result because incident_id error attempts headers")
        | instants("received_at")
        | {"size": Field("length({t}.body)")},
        filters={
            "source": Filter("{t}.source_id = {v}::uuid"),
            "result": Filter("{t}.result = any({v}::text[])"),
            "incident": Filter("{t}.incident_id = {v}::uuid"),
        },
        sorts={"received_at": Sort("{t}.received_at", "timestamptz")},
        sort="-received_at",
    )
)

declare(
    Noun(
        name="unmapped_client",
        table="unmapped_clients",
        fields=plain("id external_id name incident_id incidents") | instants("first_at last_at"),
        filters={
            "source": Filter("{t}.source_id = {v}::uuid"),
            # What has been given a meaning since is no work any more.
            "is_open": Filter(
                "{v}::boolean = not exists (select 1 from sources s where s.tenant_id = {t}.tenant_id"
                " and s.id = {t}.source_id and (s.client_map ? {t}.external_id"
                " or exists (select 1 from client_references r where r.tenant_id = s.tenant_id"
                " and r.system = s.system and r.instance in (s.instance, '-') and r.external_id = {t}.external_id)))"
            ),
        },
        sorts={"first_at": Sort("{t}.first_at", "timestamptz")},
        sort="first_at",
    )
)

declare(
    Noun(
        name="connection",
        table="connections",
        fields=plain("id version name system instance base_url account status last_error created_by")
        | instants("last_checked_at created_at updated_at"),
        filters={"system": Filter("{t}.system = {v}::text"), "status": Filter("{t}.status = {v}::text")},
        sorts={"created_at": Sort("{t}.created_at", "timestamptz")},
        sort="created_at",
    )
)

declare(
    Noun(
        name="webhook_endpoint",
        table="webhook_endpoints",
        fields=plain(
            "id version name url format connection_id ticket event_types "
            "filter client_ids payload status disabled_because public_key "
            "created_by"
        )
        | instants("created_at updated_at previous_secret_until failing_since confirmed_at")
        | {"pending_count": _counted("pending"), "failed_count": _counted("failed")},
        filters={"status": Filter("{t}.status = {v}::text")},
        sorts={"created_at": Sort("{t}.created_at", "timestamptz")},
        sort="created_at",
    )
)

declare(
    Noun(
        name="webhook_delivery",
        table="webhook_deliveries",
        fields=plain(
            "id endpoint_id event_id event_type stream stream_id seq status attempts duration_ms response_status "
            "request response_excerpt error"
        )
        | instants("created_at next_attempt_at attempted_at delivered_at"),
        filters={
            "endpoint": Filter("{t}.endpoint_id = {v}::uuid"),
            "status": Filter("{t}.status = any({v}::text[])"),
            "event_type": Filter("{t}.event_type = {v}::text"),
        },
        sorts={"created_at": Sort("{t}.created_at", "timestamptz")},
        sort="-created_at",
    )
)
