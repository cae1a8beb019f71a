"""One file per check. Those of a model hold `CHECK`, `REQUIRES` and `judge(model, run)`, those of data sets the same.

To add one, write the file and name it in `MODEL_CHECKS` or in `DATA_CHECKS` of `validation.smoke.registry`.
"""
