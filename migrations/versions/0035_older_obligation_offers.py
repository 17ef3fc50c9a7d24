"""Obligations from before offers were stored get theirs: their incidents are queued for the worker."""

from migrations.scripts import run_script

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Open incidents alone: nothing is offered in one that is closed or rejected."""
    run_script("0035_obligation_offers.sql")


def downgrade() -> None:
    """What is queued is done, or was already; it does no harm."""
