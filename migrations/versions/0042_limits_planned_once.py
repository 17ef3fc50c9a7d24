"""The look-up behind the walls of limited callers keeps its plan, whatever the statement around it asks for."""

from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A read that is planned for its values planned this look-up anew for every row."""
    op.execute("ALTER FUNCTION sees_incident(uuid, uuid) SET plan_cache_mode = 'force_generic_plan'")


def downgrade() -> None:
    """Planned as the statement around it."""
    op.execute("ALTER FUNCTION sees_incident(uuid, uuid) RESET plan_cache_mode")
