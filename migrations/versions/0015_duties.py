"""Whose duty it is, what law enforcement delays, and parties beside clients, regulators, individuals and counsel."""

from migrations.scripts import run_script

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Three columns of a duty, two more parties."""
    run_script("0015_duties.sql")


def downgrade() -> None:
    """Duties without them."""
    run_script("0015_duties_down.sql")
