"""What `hardening learn` makes of a hundred commands."""
