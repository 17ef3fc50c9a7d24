"""Who vouches for people: identity providers, and the identities of people."""

from app.nouns.columns import instants, plain
from app.statements import Field, Filter, Noun, Sort, declare

CREATED = {"created_at": Sort("{t}.created_at", "timestamptz")}

declare(
    Noun(
        name="identity_provider",
        table="identity_providers",
        fields=plain("id version name issuer audience client_id token_type role_claim role_map enabled created_by")
        | instants("created_at updated_at retired_at"),
        filters={
            "enabled": Filter("{t}.enabled = {v}::boolean"),
            "retired": Filter("({t}.retired_at is not null) = {v}::boolean"),
        },
        sorts=CREATED,
        sort="created_at",
    )
)

declare(
    Noun(
        name="identity",
        table="identities",
        fields=plain("id person_id issuer subject")
        | instants("created_at unlinked_at")
        | {"is_linked": Field("({t}.unlinked_at is null)")},
        filters={"person": Filter("{t}.person_id = {v}::uuid")},
        sorts=CREATED,
        sort="created_at",
    )
)
