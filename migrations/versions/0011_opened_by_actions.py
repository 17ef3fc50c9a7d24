"""Which action opened a linked incident, and which actions open one or are decided by several persons."""

from migrations.scripts import run_script

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The action of a link; approvals and openings of the actions in the catalogue."""
    run_script("0011_opened_by_actions.sql")


def downgrade() -> None:
    """Links of nobody."""
    run_script("0011_down.sql")
