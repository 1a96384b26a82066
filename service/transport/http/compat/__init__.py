"""Drop-in endpoints, each switched on by a setting: what clients of other servers call already."""
