"""Who else wrote at a notification: nobody approves their own words."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Beside the author, the editors."""
    op.add_column(
        "notifications",
        sa.Column("editor_ids", sa.ARRAY(sa.Uuid()), nullable=False, server_default=sa.text("'{}'")),
    )


def downgrade() -> None:
    """The author alone."""
    op.drop_column("notifications", "editor_ids")
