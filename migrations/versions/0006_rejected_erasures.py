"""Who rejected an erasure, and when."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An erasure is executed or rejected; both are kept."""
    op.add_column("erasures", sa.Column("rejected_by", sa.Uuid(), nullable=True))
    op.add_column("erasures", sa.Column("rejected_at", sa.DateTime(timezone=True), nullable=True))
    op.create_foreign_key(None, "erasures", "people", ["tenant_id", "rejected_by"], ["tenant_id", "id"])


def downgrade() -> None:
    """Forget who rejected."""
    op.drop_constraint("erasures_tenant_id_rejected_by_fkey", "erasures", type_="foreignkey")
    op.drop_column("erasures", "rejected_at")
    op.drop_column("erasures", "rejected_by")
