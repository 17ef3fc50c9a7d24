"""Proposed decisions on tools are found without reading those that were taken."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A partial index for "my work"."""
    where = sa.text("status = 'proposed'")
    op.create_index("tool_decisions_proposed", "tool_decisions", ["tenant_id", "tool_id"], postgresql_where=where)


def downgrade() -> None:
    """Without it."""
    op.drop_index("tool_decisions_proposed", "tool_decisions")
