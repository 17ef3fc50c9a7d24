"""The last deliveries about an incident in their order."""

from migrations.scripts import run_script

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An index with one column more."""
    run_script("0043_last_deliveries.sql")


def downgrade() -> None:
    """An index with one column less."""
    run_script("0043_down.sql")
