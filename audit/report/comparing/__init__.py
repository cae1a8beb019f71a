"""Setting one finished report against another."""
