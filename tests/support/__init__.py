"""What several test files share: features of the host, ordinary users."""
