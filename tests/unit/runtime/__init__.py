"""First run and objects of a server."""
