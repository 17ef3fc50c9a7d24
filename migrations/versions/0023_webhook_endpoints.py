"""Webhook endpoints, their deliveries, and the order in which these are sent."""

from migrations.scripts import run_script

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Three tables, and the trigger that queues a delivery with the event it tells."""
    run_script("0023_webhook_endpoints.sql")


def downgrade() -> None:
    """Nothing is told to anybody."""
    run_script("0023_down.sql")
