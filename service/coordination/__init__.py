"""Shared by the processes of a store: leases, cursors of outputs, announcements of events."""
