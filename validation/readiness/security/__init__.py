"""Security: committed secrets, what the SEC rules find, and dependencies that are not pinned."""
