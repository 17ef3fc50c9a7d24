"""What the read path asks of the database: which stored transitions a caller may do."""

from migrations.scripts import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create permitted()."""
    run_script("0002_reading.sql")


def downgrade() -> None:
    """Drop it."""
    run_script("0002_down.sql")
