"""That a notice falls due before its assessment is done is told once."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """When it was told."""
    op.add_column("obligations", sa.Column("unassessed_announced_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """It is not told any more."""
    op.drop_column("obligations", "unassessed_announced_at")
