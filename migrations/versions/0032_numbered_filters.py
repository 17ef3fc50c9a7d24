"""The number of the incident on the rows that lists are filtered by, with the indexes to page by."""

from migrations.scripts import run_script

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column on clients and labels of incidents, filled for those that there are, and an index on each."""
    run_script("0032_numbered_filters.sql")


def downgrade() -> None:
    """They are found by client or label alone."""
    run_script("0032_down.sql")
