"""Whether the automated workflow that an incident is about does its work."""

from migrations.scripts import run_script

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The status of the workflow beside the status of the incident."""
    run_script("0014_workflow_status.sql")


def downgrade() -> None:
    """It follows from actions and can be computed again."""
    run_script("0014_down.sql")
