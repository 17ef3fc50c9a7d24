"""Late reviews are found among the exceptions without reading every event."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A partial index over few rows."""
    where = sa.text("kind IN ('risk.review_late', 'tool.review_overdue')")
    op.create_index("events_of_late_reviews", "events", ["tenant_id", "occurred_at"], postgresql_where=where)


def downgrade() -> None:
    """Without it."""
    op.drop_index("events_of_late_reviews", "events")
