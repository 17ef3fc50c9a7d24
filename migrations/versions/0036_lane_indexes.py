"""Indexes on lanes that serve however many of them wait."""

from migrations.scripts import run_script

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Tenant before time, and the whole key behind the time."""
    run_script("0036_lane_indexes.sql")


def downgrade() -> None:
    """As they were."""
    run_script("0036_down.sql")
