"""Times attention backends and models; what they compute is judged by whoever asked, with an oracle of its own."""
