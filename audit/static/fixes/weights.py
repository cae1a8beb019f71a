"""The fix of `pretrained=` of torchvision's models.

The tables are those of the decorators `handle_legacy_interface` in `torchvision/models` 0.28 and 0.29, read from their
sources: the weights that `pretrained=True` stands for. Those with a rule of their own in place of a name are left out.
"""

import ast
from collections.abc import Callable, Mapping

from audit.static.fixes.arguments import Argument, arguments_of, find, renamed
from audit.static.fixes.edits import Fix, fix
from audit.static.fixes.source import SourceText
from audit.static.rules.rule import FixSafety
from audit.static.rules.syntax import constant

_WEIGHTS = {
    "COCO_V1": """
        fasterrcnn_mobilenet_v3_large_320_fpn fasterrcnn_mobilenet_v3_large_fpn fasterrcnn_resnet50_fpn
        fasterrcnn_resnet50_fpn_v2 fcos_resnet50_fpn maskrcnn_resnet50_fpn maskrcnn_resnet50_fpn_v2
        retinanet_resnet50_fpn retinanet_resnet50_fpn_v2 ssd300_vgg16 ssdlite320_mobilenet_v3_large
    """,
    "COCO_WITH_VOC_LABELS_V1": """
        deeplabv3_mobilenet_v3_large deeplabv3_resnet101 deeplabv3_resnet50 fcn_resnet101 fcn_resnet50
        lraspp_mobilenet_v3_large
    """,
    "C_T_SKHT_V2": """
        raft_large
    """,
    "C_T_V2": """
        raft_small
    """,
    "IMAGENET1K_V1": """
        alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161 densenet169
        densenet201 efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4
        efficientnet_b5 efficientnet_b6 efficientnet_b7 efficientnet_v2_l efficientnet_v2_m efficientnet_v2_s
        googlenet inception_v3 maxvit_t mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3 mobilenet_v2
        mobilenet_v3_large mobilenet_v3_small regnet_x_16gf regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf
        regnet_x_400mf regnet_x_800mf regnet_x_8gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf
        regnet_y_400mf regnet_y_800mf regnet_y_8gf resnet101 resnet152 resnet18 resnet34 resnet50
        resnext101_32x8d resnext101_64x4d resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0
        shufflenet_v2_x1_5 shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 swin_b swin_s swin_t swin_v2_b
        swin_v2_s swin_v2_t vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32
        vit_l_16 vit_l_32 wide_resnet101_2 wide_resnet50_2
    """,
    "KINETICS400_V1": """
        mc3_18 mvit_v1_b mvit_v2_s r2plus1d_18 r3d_18 s3d swin3d_b swin3d_s swin3d_t
    """,
}
_PRETRAINED: Mapping[str, str] = {name: weights for weights, names in _WEIGHTS.items() for name in names.split()}
_BACKBONE_WEIGHTS = {
    "IMAGENET1K_FEATURES": """
        ssd300_vgg16
    """,
    "IMAGENET1K_V1": """
        deeplabv3_mobilenet_v3_large deeplabv3_resnet101 deeplabv3_resnet50 fasterrcnn_mobilenet_v3_large_320_fpn
        fasterrcnn_mobilenet_v3_large_fpn fasterrcnn_resnet50_fpn fasterrcnn_resnet50_fpn_v2 fcn_resnet101
        fcn_resnet50 fcos_resnet50_fpn keypointrcnn_resnet50_fpn lraspp_mobilenet_v3_large maskrcnn_resnet50_fpn
        maskrcnn_resnet50_fpn_v2 retinanet_resnet50_fpn retinanet_resnet50_fpn_v2 ssdlite320_mobilenet_v3_large
    """,
}
_BACKBONES: Mapping[str, str] = {
    name: weights for weights, names in _BACKBONE_WEIGHTS.items() for name in names.split()
}


def weights_instead(call: ast.Call, function: str, old: str) -> Callable[[SourceText], Fix | None]:
    """Return what works out the fix of an argument `old` of a function of `torchvision.models`."""

    def edits(source: SourceText) -> Fix | None:
        table, new = (_PRETRAINED, "weights") if old == "pretrained" else (_BACKBONES, "weights_backbone")
        weights = table.get(function.rpartition(".")[2])
        arguments = arguments_of(call, source) or []
        given = find(arguments, old, 0 if old == "pretrained" else None)
        positional = sum(each.name is None for each in arguments)
        if ".quantization." in function or given is None or weights is None:
            return None
        if find(arguments, new) or any(each.unpacked for each in arguments) or positional > (given.name is None):
            return None
        chosen = _chosen(given, source.quoted(weights), source)
        return fix(renamed(given, f"{new}={chosen}"), FixSafety.SAFE) if chosen else None

    return edits


def _chosen(given: Argument, weights: str, source: SourceText) -> str | None:
    """Return the weights that a flag chooses. By position, what is no literal may be weights already."""
    flag, text = constant(given.value), given.text(source)
    if isinstance(flag, bool):
        return weights if flag else "None"
    if given.name is None or "#" in text or "\n" in text:
        return None
    if isinstance(given.value, ast.IfExp | ast.Lambda) and not text.startswith("("):
        text = f"({text})"
    return f"{weights} if {text} else None"
