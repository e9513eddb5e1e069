"""Control plane: rooms, routing table, relay handle, HTTP and WebSocket."""
