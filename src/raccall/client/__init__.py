"""A session with a server: sans-IO core and asyncio adapter."""
