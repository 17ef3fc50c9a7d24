"""What a documentation item lacks is kept as the text it came as: it is only ever handed on."""

from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Printing it anew was a tenth of what reading an incident cost. Every writer names it, so no default is needed."""
    op.execute(
        "ALTER TABLE documents ALTER COLUMN missing DROP DEFAULT, ALTER COLUMN missing TYPE json USING missing::json"
    )


def downgrade() -> None:
    """Taken apart, and printed for every reader."""
    op.execute(
        "ALTER TABLE documents ALTER COLUMN missing TYPE jsonb USING missing::jsonb,"
        " ALTER COLUMN missing SET DEFAULT '[]'"
    )
