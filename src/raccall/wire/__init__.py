"""What travels between client and server: control messages, and the packet facade."""
