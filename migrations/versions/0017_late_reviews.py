"""That a review of the register fell due undone is told once."""

from migrations.scripts import run_script

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One instant per risk."""
    run_script("0017_late_reviews.sql")


def downgrade() -> None:
    """Late reviews are not told."""
    run_script("0017_down.sql")
