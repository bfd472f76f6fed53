"""Other OCI runtimes: crun and runc."""
