"""The log has no walls within a tenant; what its events say has."""

from migrations.scripts import run_script

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A page of the log costs the same for everybody."""
    run_script("0037_open_log.sql")


def downgrade() -> None:
    """An entry is seen by who sees its event."""
    run_script("0037_down.sql")
