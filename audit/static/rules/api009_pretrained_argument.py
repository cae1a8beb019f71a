"""API009: `pretrained=` of torchvision's models."""

import ast
import re
from collections.abc import Iterator
from types import NoneType

from audit.static.fixes.weights import weights_instead
from audit.static.rules.calls import CallRule
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Precision, Spot
from audit.static.rules.syntax import argument, constant

# `weights` is given by keyword only, so the first argument by position is `pretrained`, whatever it is.
_BUILDER = re.compile(
    r"^(?:alexnet|googlenet|inception_v3|s3d|maxvit_t|(?:densenet|mnasnet|resnet|resnext|squeezenet|vgg|ssd)\d|"
    r"(?:convnext|efficientnet|mobilenet|regnet|wide_resnet|shufflenet|swin|swin3d|vit|mvit|raft|fcn|deeplabv3|lraspp|"
    r"fasterrcnn|fcos|keypointrcnn|maskrcnn|retinanet|ssdlite320)_|(?:r3d|mc3|r2plus1d)_18)"
)
_ANYTHING = (ast.Starred, NoneType)


class PretrainedArgument(CallRule):
    """torchvision 0.13 replaced the flag by the name of the weights."""

    id = "API009"
    title = "`pretrained=` of a torchvision model instead of `weights=`"
    what = "Reports the arguments `pretrained` and `pretrained_backbone` in calls of functions of `torchvision.models`."
    why = (
        "Deprecated since torchvision 0.13. `pretrained=True` means other weights than the current ones for "
        "several models."
    )
    fix = "pass weights=..., for instance ResNet50_Weights.IMAGENET1K_V1, or weights=None"
    fix_safety = FixSafety.SAFE
    fix_depends_on = "a flag by position that is no literal, and models without such weights, are left to a person"
    references = ("https://docs.pytorch.org/vision/stable/models.html",)
    precision = Precision(findings=2, sampled=2, false=0)
    words = ("torchvision",)
    also_silenced_by = ("TOR201",)
    VALID = (
        """
        from torchvision.models import resnet50

        model = resnet50(weights=None)
        """,
        """
        from torchvision.models import get_model
        from torchvision.models.feature_extraction import create_feature_extractor

        model = create_feature_extractor(get_model(name), nodes)
        """,
        """
        from mine.models import resnet50

        model = resnet50(pretrained=True)
        """,
    )
    INVALID = (
        """
        from torchvision.models import resnet50

        model = resnet50(pretrained=True)
        """,
        """
        import torchvision.models as models

        m = models.detection.fcos_resnet50_fpn(pretrained_backbone=False)
        """,
        """
        from torchvision import models

        model = models.resnet18(True)
        """,
        """
        from torchvision import models


        def f(pretrained):
            return models.resnet34(pretrained)
        """,
    )
    FIXED = (
        (
            """
            from torchvision.models import resnet50

            model = resnet50(pretrained=True, progress=False)
            """,
            """
            from torchvision.models import resnet50

            model = resnet50(weights="IMAGENET1K_V1", progress=False)
            """,
        ),
        (
            """
            import torchvision.models as models

            m = models.detection.fcos_resnet50_fpn(False, pretrained_backbone=False)
            """,
            """
            import torchvision.models as models

            m = models.detection.fcos_resnet50_fpn(weights=None, weights_backbone=None)
            """,
        ),
        (
            """
            from torchvision.models import vgg16

            model = vgg16(pretrained=weights is None, progress=False)
            """,
            """
            from torchvision.models import vgg16

            model = vgg16(weights="IMAGENET1K_V1" if weights is None else None, progress=False)
            """,
        ),
    )

    def judge_call(self, call: ast.Call, context: FileContext) -> Iterator[Spot]:
        """Yield a deprecated argument of a function of torchvision.models."""
        name = context.resolve(call)
        function = name.rpartition(".")[2]
        if not name.startswith("torchvision.models.") or not function[:1].islower() or context.guarded(call):
            return
        for old in ("pretrained", "pretrained_backbone"):
            if argument(call, old) is not None:
                new = old.replace("pretrained", "weights")
                yield Spot(
                    call,
                    f"`{old}` of torchvision's `{function}` is deprecated",
                    fix=f"pass `{new}` instead",
                    edits=weights_instead(call, name, old),
                )
        first = call.args[0] if call.args else None
        if isinstance(constant(first), bool) or (_BUILDER.match(function) and not isinstance(first, _ANYTHING)):
            yield Spot(
                call,
                f"the first argument of torchvision's `{function}` is `weights` now",
                fix="pass `weights=`",
                edits=weights_instead(call, name, "pretrained"),
            )
