"""What the processes of a store share: leases, cursors of outputs, announcements of events."""
