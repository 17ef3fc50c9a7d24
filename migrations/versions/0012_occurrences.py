"""What populations of control occurrences are cut by and sorted by stands on the row, with the indexes to page by."""

from migrations.scripts import run_script

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Columns of the incident on the occurrence, filled for those that there are, and two indexes."""
    run_script("0012_occurrences.sql")


def downgrade() -> None:
    """Occurrences are found by their due date alone."""
    run_script("0012_down.sql")
