"""When a source was last heard that should have spoken since."""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A column."""
    op.execute("ALTER TABLE sources ADD COLUMN silent_since TIMESTAMP WITH TIME ZONE")


def downgrade() -> None:
    """Nobody notices silence."""
    op.execute("ALTER TABLE sources DROP COLUMN silent_since")
