"""Who decided a revision of a risk, when and why, and the decision on a tool that it carries."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keep the decision beside the proposal: another person, later, with a reason of their own."""
    op.add_column("risk_revisions", sa.Column("outcome", sa.Text(), nullable=True))
    op.add_column("risk_revisions", sa.Column("decided_by", sa.Uuid(), nullable=True))
    op.add_column("risk_revisions", sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("risk_revisions", sa.Column("decision_reason", sa.Text(), nullable=True))
    op.create_foreign_key(None, "risk_revisions", "people", ["tenant_id", "decided_by"], ["tenant_id", "id"])


def downgrade() -> None:
    """Forget who decided."""
    op.drop_constraint("risk_revisions_tenant_id_decided_by_fkey", "risk_revisions", type_="foreignkey")
    op.drop_column("risk_revisions", "decision_reason")
    op.drop_column("risk_revisions", "decided_at")
    op.drop_column("risk_revisions", "decided_by")
    op.drop_column("risk_revisions", "outcome")
