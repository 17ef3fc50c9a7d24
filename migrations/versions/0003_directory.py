"""A version of what the rules look at beside the record, and one-time tokens with which a person enrols."""

import sqlalchemy as sa
from alembic import op

from migrations.scripts import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Count the changes of people, clients and settings; let a token be handed out instead of a key."""
    op.add_column("tenants", sa.Column("directory_version", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.add_column("people", sa.Column("token_hash", sa.LargeBinary(), nullable=True))
    op.add_column("people", sa.Column("token_expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("people", sa.Column("token_issued_by", sa.Uuid(), nullable=True))
    op.create_unique_constraint("people_token_hash", "people", ["tenant_id", "token_hash"])
    run_script("0003_directory.sql")


def downgrade() -> None:
    """Forget the counts and the tokens that were not used yet."""
    run_script("0003_down.sql")
    op.drop_constraint("people_token_hash", "people", type_="unique")
    op.drop_column("people", "token_issued_by")
    op.drop_column("people", "token_expires_at")
    op.drop_column("people", "token_hash")
    op.drop_column("tenants", "directory_version")
