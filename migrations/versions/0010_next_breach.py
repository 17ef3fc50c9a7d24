"""The earliest deadline of an incident beside it, so that a list says who is late without looking at every step."""

from migrations.scripts import run_script

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two instants per incident."""
    run_script("0010_next_breach.sql")


def downgrade() -> None:
    """Lists look at the steps."""
    run_script("0010_down.sql")
