"""Training: the learning tasks, and a trainer that can be interrupted and resumed."""
