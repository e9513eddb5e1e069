"""May a room be recorded, and how long are its recordings kept."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("rooms", sa.Column("recording", sa.String(16), nullable=False, server_default="ask"))
    op.add_column("rooms", sa.Column("retention_days", sa.Integer, nullable=True))
