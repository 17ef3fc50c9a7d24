"""The form in which an endpoint is told of events."""

from alembic import op

from migrations.scripts import run_script

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns."""
    run_script("0031_event_formats.sql")


def downgrade() -> None:
    """Every endpoint is told in the standard form. The address of a channel is lost with its seal: it is given anew."""
    op.execute("ALTER TABLE webhook_endpoints DROP COLUMN format, DROP COLUMN sealed_url")
