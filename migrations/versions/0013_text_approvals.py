"""Who approved a notification, seat by seat: a correction may need more than one person."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A list beside the last approver."""
    op.add_column(
        "notifications", sa.Column("approvals", JSONB(), nullable=False, server_default=sa.text("'[]'::jsonb"))
    )


def downgrade() -> None:
    """The last approver alone."""
    op.drop_column("notifications", "approvals")
