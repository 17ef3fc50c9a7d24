"""Sources fetch what a delivery only names."""

from migrations.scripts import run_script

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column."""
    run_script("0040_fetching.sql")


def downgrade() -> None:
    """Nothing is fetched."""
    run_script("0040_down.sql")
