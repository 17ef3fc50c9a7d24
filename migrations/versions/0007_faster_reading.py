"""What a reader gets as it is stands as it is: verdicts beside actions, inputs as text, playbooks beside runs."""

from migrations.scripts import run_script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Verdicts per action, matched by the reader; no joins to find the text of an action."""
    run_script("0007_faster_reading.sql")


def downgrade() -> None:
    """Verdicts per step, matched by permitted()."""
    run_script("0007_down.sql")
