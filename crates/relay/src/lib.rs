//! Forwarding: a table, a pure forward() and one socket loop.
