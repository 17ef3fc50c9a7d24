"""The log: every event of a tenant in one dense order."""

from migrations.scripts import run_script

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What waits for a place and what has one; what happened before gets one here."""
    run_script("0030_log.sql")


def downgrade() -> None:
    """Streams alone have an order."""
    run_script("0030_down.sql")
