"""Workers that wake when something is due."""

from migrations.scripts import run_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Notify sleepers of work that is due now."""
    run_script("0005_wakeups.sql")


def downgrade() -> None:
    """Let workers look for themselves."""
    run_script("0005_down.sql")
