"""The parts of a script that are the same in every one, or nearly so."""

DOCUMENTATION = '''"""Shows a defect of attention: exits 1 while the defect is there, and 0 when it is gone.

It needs torch and the target. Run it in the folder of the target, or give that folder: python SCRIPT FOLDER
It exits 2 when the target is not found, or cannot be built or called, so that nothing can be told.
"""
'''
OPEN_GATES = '''
def open_gates(module):
    """Give numbers to parameters that begin as zero or nearly so, behind which nothing would show."""
    drawn = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for parameter in [] if module is None else module.parameters():
            if parameter.requires_grad and parameter.is_floating_point() and parameter.abs().max() <= 1e-3:
                parameter.copy_(torch.randn(parameter.shape, generator=drawn) * 0.5)

'''
SET_DROPOUT = '''
def set_dropout(module, probability):
    """Set the probability of every dropout in the module."""
    for layer in module.modules():
        for name in [name for name in vars(layer) if "drop" in name or name in ("p", "rate")]:
            if type(getattr(layer, name)) in (int, float) and 0 <= getattr(layer, name) < 1:
                setattr(layer, name, probability)

'''
DISTANCE = '''
def distance(x, y):
    """Return the largest absolute difference; infinite where it is not a number."""
    if x.shape != y.shape:
        return float("inf")
    difference = float((x.double() - y.double()).abs().max())
    return difference if difference == difference else float("inf")

'''
STEPS = '''
def bound_of(expected, inputs, module):
    """Return how far rounding may bring a correct implementation from what is expected.

    {factor} x the largest change of it when every element of the input moves by one unit in the last place of {dtype},
    plus 2 x the rounding of the result{floor}.
    """
    eps = torch.finfo(torch.{dtype}).eps
    drawn = torch.Generator().manual_seed(SEED)
    change = 0.0
    for _ in range(4):
        near = dict(inputs)
        for name, x in inputs.items():
            if x.is_floating_point():
                signs = torch.randint(0, 2, x.shape, generator=drawn) * 2 - 1
                near[name] = (x.detach() * (1 + eps * signs)).to(x.dtype)
        change = max(change, distance(compare(near, module)[1], expected))
    rounded = expected.to(torch.{dtype})
    return {factor} * change + 2 * distance((rounded + 0.3) - 0.3, rounded){floor_term}

'''
WATCHED = '''
class Watching(TorchDispatchMode):
    """Keeps the products of three axes with what they are made of, projections, and what a softmax is taken of."""

    def __init__(self):
        super().__init__()
        self.products, self.projected, self.softmaxes = [], [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name == "bmm":
            self.products.append((args[0].float(), args[1].float(), result.float()))
        elif name in ("mm", "addmm"):
            self.projected.append(result.float())
        elif name in ("_softmax", "_safe_softmax"):
            self.softmaxes.append(args[0].float() if args[0].dtype == DTYPE else args[0])
        return result


def watched(inputs, module):
    """Return what was kept of a call in which fused kernels are taken apart."""
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), Watching() as seen:
        attend(inputs, module)
    return seen


def lengthened(x, sources):
    """Return by what factor x (heads, L, D) is longer than what it was made of, turned or not: one for all tokens."""
    lengths = x.square().sum(dim=(0, 2)).sqrt()
    width = x.shape[0] * x.shape[2]
    for source in sources:
        rows = source.transpose(-3, -2).flatten(2)[0] if source.dim() == 4 else source.reshape(-1, source.shape[-1])
        for start in range(0, rows.shape[-1] - x.shape[2] + 1, x.shape[2]) if len(rows) == len(lengths) else ():
            for size in {width, width // GROUPS}:
                part = rows[:, start : start + size]
                ratios = lengths / (part.square().sum(dim=1).sqrt() * (width / size) ** 0.5)
                if part.shape[1] == size and (ratios - ratios.mean()).abs().max() < 1e-3 * ratios.mean():
                    return ratios.mean()
    raise ValueError("queries or keys are not found among what was projected")

'''
THOUSANDTH = '''
def bound_of(expected, inputs, module):
    """Return a thousandth of what is expected: it is read from numbers in float32."""
    return 1e-3 * float(expected.abs())

'''
RESULT = '''
def bound_of(expected, inputs, module):
    """Return what the rounding of a result may be: 8 units in the last place."""
    return 8 * torch.finfo(DTYPE).eps * float(expected.abs().max())

'''
NOTHING = '''
def bound_of(expected, inputs, module):
    """Return 0: nothing may come between."""
    return 0.0

'''
MAIN = """
def main():
    try:
        torch.manual_seed(SEED)
        module = build()
        if module is not None:
            module = module.to(DTYPE).eval()
        open_gates(module)
        inputs = inputs_of()
        with torch.set_grad_enabled({gradient}):
            plain = attend(inputs_of(plain=True), module)
            observed, expected = compare(inputs, module)
            bound = bound_of(expected, inputs, module)
    except Exception:
        traceback.print_exc()
        print("cannot be told: it cannot be built or called")
        return 2
    if not plain.isfinite().{numbers}() or not expected.isfinite().all() or not bound < float("inf"):
        print("cannot be told: the output for plain inputs, or what is compared with, is not finite")
        return 2
    error = distance(observed, expected)
    MEASURED.update(error=error, bound=bound)
    print("must hold of", {says!r})
    print(f"case: {{CASE}}")
    pair = [x.detach().double().flatten() for x in (observed, expected)]
    apart = observed.shape == expected.shape and observed.numel()
    furthest = int((pair[0] - pair[1]).abs().argmax()) if apart else 0
    for name, x in zip(("observed", "expected"), pair):
        numbers = [round(each, 5) for each in x[furthest : furthest + 6].tolist()]
        print(f"{{name}}, from where they differ most: {{numbers}}")
    print(f"largest difference {{error:.4g}}, bound {{bound:.4g}}: it must be {relation}")
    return {verdict}


if __name__ == "__main__":
    sys.exit(main())
"""
