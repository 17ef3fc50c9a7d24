"""The register of AI tools with assessments and decisions, and which tools an incident names."""

from migrations.scripts import run_script

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Four tables behind the walls."""
    run_script("0016_tools.sql")


def downgrade() -> None:
    """Forget the register; what incidents decided stays in their timelines."""
    run_script("0016_down.sql")
