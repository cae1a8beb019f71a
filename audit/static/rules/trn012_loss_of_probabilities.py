"""TRN012: a loss that takes the softmax itself is given what has gone through one."""

import ast
from collections.abc import Iterator

from audit.severity import Severity
from audit.static.rules.context import FileContext
from audit.static.rules.probabilities import are_probabilities, loss_called
from audit.static.rules.rule import Rule, Spot
from audit.static.rules.syntax import argument


class LossOfProbabilities(Rule):
    """What is given is followed through names, views, layers and the models of the same file, and no further."""

    id = "TRN012"
    title = "A cross entropy of probabilities"
    severity = Severity.MAJOR
    what = (
        "Reports `cross_entropy`, `nll_loss` and calls of `CrossEntropyLoss` or `NLLLoss` whose input is the result of "
        "a softmax: taken in place, by a layer, or as the only thing that a model of the same file returns."
    )
    why = (
        "`cross_entropy` takes the softmax itself: of probabilities, which lie between 0 and 1, a second one is nearly "
        "uniform, so the loss cannot come near 0 and its gradients vanish. `nll_loss` takes logarithms: given "
        "probabilities it is no likelihood."
    )
    fix = "give cross_entropy the logits, and nll_loss their log_softmax; take the softmax where probabilities are read"
    references = (
        "https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html",
        "https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html",
    )
    nodes = (ast.Call,)
    words = ("cross_entropy", "CrossEntropyLoss", "nll_loss", "NLLLoss")
    VALID = (
        """
        from torch.nn import functional as F


        def step(model, x, y):
            logits = model(x)
            accuracy = (logits.softmax(dim=-1).argmax(dim=-1) == y).float().mean()
            return F.cross_entropy(logits, y), accuracy
        """,
        """
        from torch.nn import functional as F


        def distil(student, teacher, x):
            return F.cross_entropy(student(x), F.softmax(teacher(x), dim=-1))
        """,
        """
        from torch.nn import functional as F


        def step(logits, y):
            return F.nll_loss(F.softmax(logits, dim=-1).log(), y)
        """,
        """
        from torch import nn
        from torch.nn import functional as F


        class Net(nn.Module):
            def forward(self, x):
                logits = self.head(x)
                return logits if self.training else F.softmax(logits, dim=-1)


        model = Net()
        loss = F.cross_entropy(model(x), y)
        """,
        """
        from torch.nn import functional as F


        def step(logits, y, sharpen):
            scores = F.softmax(logits, dim=-1)
            if sharpen:
                scores = scores.log()
            return F.cross_entropy(scores, y)
        """,
        """
        from torch import nn


        class Net(nn.Module):
            def forward(self, x):
                return self.head(x).softmax(dim=-1)


        class Plain(nn.Module):
            def forward(self, x):
                return self.head(x)


        def train(model, criterion, x, y):
            return criterion(model(x), y)


        train(Net(), nn.CrossEntropyLoss(), x, y)
        train(Plain(), nn.CrossEntropyLoss(), x, y)
        """,
    )
    INVALID = (
        """
        from torch.nn import functional as F


        def step(model, x, y):
            return F.cross_entropy(F.softmax(model(x), dim=-1), y)
        """,
        """
        import torch
        from torch import nn


        def step(model, x, y):
            probs = torch.softmax(model(x), dim=1)
            return nn.CrossEntropyLoss()(probs, y)
        """,
        """
        from torch import nn


        class Trainer:
            def __init__(self):
                self.criterion = nn.CrossEntropyLoss(label_smoothing=0.1)

            def step(self, x, y):
                probs = self.model(x).softmax(dim=-1)
                return self.criterion(probs.view(-1, probs.size(-1)), y.view(-1))
        """,
        """
        from torch.nn.functional import nll_loss, softmax


        def step(logits, y):
            return nll_loss(input=softmax(logits, dim=-1), target=y)
        """,
        """
        from torch import nn
        from torch.nn import functional as F


        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(4, 3)

            def forward(self, x):
                logits = self.head(x)
                return F.softmax(logits, dim=-1)


        def main(loader):
            model = Net().to('cpu')
            criterion = nn.CrossEntropyLoss()
            for x, y in loader:
                output = model(x)
                loss = criterion(output, y)
                loss.backward()
        """,
        """
        from torch import nn

        model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
        criterion = nn.CrossEntropyLoss()


        def train(loader):
            for x, y in loader:
                criterion(model(x), y).backward()
        """,
        """
        from torch import nn


        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.head, self.soft = nn.Linear(4, 3), None
                self.softmax = nn.Softmax(dim=-1)

            def forward(self, x):
                return self.softmax(self.head(x))


        def train(model, criterion, loader):
            for x, y in loader:
                criterion(model(x), y).backward()


        train(Net(), nn.CrossEntropyLoss(), loader)
        """,
        """
        from torch import nn
        from torch.nn import functional as F


        class Net(nn.Module):
            def forward(self, x):
                return F.softmax(self.head(x), dim=-1)

            def training_step(self, batch, index):
                x, y = batch
                predicted = self(x)
                return F.cross_entropy(predicted, y)
        """,
    )

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a loss whose input surely is the result of a softmax."""
        assert isinstance(node, ast.Call)
        given = argument(node, "input", 0)
        name = loss_called(node, context) if given is not None else None
        if name is not None and given is not None and are_probabilities(given, context):
            wants = "log-probabilities" if name.startswith(("nll", "NLL")) else "logits, of which it takes the softmax"
            yield Spot(node, f"`{name}` is given `{_shown(given)}`, which are probabilities; it wants {wants}")


def _shown(expression: ast.expr, most: int = 60) -> str:
    text = ast.unparse(expression)
    return text if len(text) <= most else text[: most - 3] + "..."
