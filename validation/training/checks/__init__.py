"""One file per check of a training. Each holds `CHECK`, `REQUIRES` and `judge(trainee, run)`.

To add one, write the file and name it in `validation.training.checks_by_kind`.
"""
