"""The model as it is served: probabilities of the classes, in place of the logits that the pipeline works with."""

from torch import Tensor, nn


class Served(nn.Module):
    """Gives each class's probability."""

    def __init__(self, model: nn.Module) -> None:
        """Takes the model, which gives logits."""
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Returns (N, C) float32 in [0, 1], each row of sum 1, for images as the model takes them."""
        logits: Tensor = self.model(images)
        return logits.float().softmax(1)
