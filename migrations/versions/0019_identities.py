"""Identity providers, the identities of people, and the directory of issuers."""

from migrations.scripts import run_script

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Three tables and the one function that looks across tenants."""
    run_script("0019_identities.sql")


def downgrade() -> None:
    """People call with keys alone."""
    run_script("0019_down.sql")
