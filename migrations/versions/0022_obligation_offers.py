"""What may be done with an obligation, stored as that of an incident is. Older rows show nothing until they change."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Verdicts without the caller's part."""
    op.add_column("obligations", sa.Column("allowed", sa.JSON()))


def downgrade() -> None:
    """Deciding tells it only when asked."""
    op.drop_column("obligations", "allowed")
