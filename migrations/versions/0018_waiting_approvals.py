"""What waits for an approval is found without reading the tenant's history."""

from migrations.scripts import run_script

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Three partial indexes for "my work"."""
    run_script("0018_waiting_approvals.sql")


def downgrade() -> None:
    """Without them."""
    run_script("0018_down.sql")
