"""One file per kind of claim. Each holds `CHECK` and `judge(measuring, claim)`.

To add one, write the file, add the form of its claims to `audit.claims`, and name both here.
"""

from audit.claims import Accuracy, AnyClaim, MemoryRatio, Metric, SpeedRatio
from audit.judgement import Judgement
from audit.results import Check
from validation.claims.call import Measuring
from validation.claims.kinds import accuracy, memory_ratio, metric, speed_ratio

CHECKS = tuple(kind.CHECK for kind in (accuracy, memory_ratio, metric, speed_ratio))


def check_of(claim: AnyClaim) -> Check:
    """Return the check that a claim is measured by."""
    match claim:
        case SpeedRatio():
            return speed_ratio.CHECK
        case MemoryRatio():
            return memory_ratio.CHECK
        case Accuracy():
            return accuracy.CHECK
        case Metric():
            return metric.CHECK


def judge(measuring: Measuring, claim: AnyClaim) -> Judgement:
    """Measure a claim."""
    match claim:
        case SpeedRatio():
            return speed_ratio.judge(measuring, claim)
        case MemoryRatio():
            return memory_ratio.judge(measuring, claim)
        case Accuracy():
            return accuracy.judge(measuring, claim)
        case Metric():
            return metric.judge(measuring, claim)
