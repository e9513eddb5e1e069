"""What must last: users, rooms, messages, keys."""
