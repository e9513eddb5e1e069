"""Is a room's call encrypted end to end? Rooms that were there before let everybody in as before."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("rooms", sa.Column("encryption", sa.String(16), nullable=False, server_default="preferred"))
