"""What the log of deliveries shows of the request that was sent."""

from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column."""
    op.execute("ALTER TABLE webhook_deliveries ADD COLUMN request JSONB")


def downgrade() -> None:
    """Only the answer is shown."""
    op.execute("ALTER TABLE webhook_deliveries DROP COLUMN request")
