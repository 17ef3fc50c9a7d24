"""Events that wake who follows them, and that can be found by the transaction that wrote them."""

from migrations.scripts import run_script

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Note the transaction of each event; notify listeners."""
    run_script("0021_live_events.sql")


def downgrade() -> None:
    """Let them look for themselves."""
    run_script("0021_down.sql")
