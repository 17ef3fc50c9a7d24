"""The limits of a caller on incidents as one call: callers without limits plan and start none of it."""

from migrations.scripts import run_script

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One function, asked only of callers with limits."""
    run_script("0009_lean_limits.sql")


def downgrade() -> None:
    """The limits written out in the policy."""
    run_script("0009_down.sql")
