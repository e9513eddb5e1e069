"""Whom a room's owner lets nobody hear. Until then it was forgotten by a restart."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "silenced",
        sa.Column("room_id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("room_id", "user_id", name="pk_silenced"),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name="fk_silenced_room_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_silenced_user_id"),
    )
