"""Attention pooling (Ilse, Tomczak & Welling, 2018): a learned score weighs the elements."""

from torch import nn

from exvae.guides.sets import Pooling, pool


class AttentionPooling(Pooling):
    """Weighted mean of the elements of a set."""

    def __init__(self, size):
        super().__init__(size)
        self.score = nn.Sequential(nn.Linear(size, size), nn.Tanh(), nn.Linear(size, 1))

    def forward(self, table, rows, offsets):
        """Pool sets; shape (sets, size)."""
        weight = self.score(table).exp()
        return pool(weight * table, rows, offsets, "sum") / pool(weight, rows, offsets, "sum")
