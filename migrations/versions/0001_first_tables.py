"""The tables, the walls between tenants and clients, the rights of the runtime role."""

from migrations.scripts import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    run_script("0001_tables.sql")
    run_script("0001_functions.sql")
    run_script("0001_walls.sql")


def downgrade() -> None:
    """Drop everything, with all that is stored."""
    run_script("0001_down.sql")
