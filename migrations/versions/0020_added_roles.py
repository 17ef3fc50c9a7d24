"""Roles that a fact of the incident adds to the owners of a step."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Beside what the playbook says."""
    op.add_column("step_runs", sa.Column("added_roles", sa.ARRAY(sa.Text()), nullable=False, server_default="{}"))


def downgrade() -> None:
    """The owners of the playbook alone."""
    op.drop_column("step_runs", "added_roles")
