"""The place of an obligation in the list where a law moves it ahead of its own date."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Older rows are listed by their date until they change."""
    op.add_column("obligations", sa.Column("listed_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """All are listed by their date."""
    op.drop_column("obligations", "listed_at")
