"""Small seeded models of common kinds, and data for them.

Depends on PyTorch alone: the tests compare `landscape` with plain PyTorch written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor, nn

__all__ = [
    "ConvNet",
    "DropoutNet",
    "HuggingFaceLike",
    "LanguageModel",
    "LanguageOutput",
    "Pair",
    "Recurrent",
    "SelfAttention",
    "TiedAutoencoder",
    "Transformer",
    "classes",
    "cut",
    "images",
    "mlp",
    "regression",
    "seeded",
    "sequences",
]

Made = TypeVar("Made")
Pair = tuple[Tensor, Tensor]

FEATURES, CLASSES, VOCABULARY, WIDTH = 5, 3, 7, 8


def seeded(make: Callable[[], Made], seed: int = 0) -> Made:
    """Make something from a random stream of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def mlp(activation: Callable[[], nn.Module] = nn.Tanh, outputs: int = CLASSES) -> nn.Sequential:
    """5 features, 8 hidden units: 75 parameters for 3 outputs."""
    return seeded(
        lambda: nn.Sequential(nn.Linear(FEATURES, 8), activation(), nn.Linear(8, outputs))
    )


class ConvNet(nn.Module):
    """Two blocks of convolution, batch norm and a smooth activation, as for 6 x 6 digits."""

    def __init__(self, *, momentum: float | None = 0.1, track: bool = True) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.BatchNorm2d(3, momentum=momentum, track_running_stats=track),
            nn.Softplus(),
            nn.AvgPool2d(2),
            nn.Conv2d(3, 4, 2),
            nn.BatchNorm2d(4, momentum=momentum, track_running_stats=track),
            nn.Softplus(),
        )
        self.head = nn.Linear(16, CLASSES)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
                if module.running_mean is not None and module.running_var is not None:
                    module.running_mean.normal_(std=0.3)
                    module.running_var.uniform_(0.5, 2.0)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.features(x).flatten(1))
        return found


class DropoutNet(nn.Module):
    """Dropout as a module, and as a function of the training flag."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, WIDTH)
        self.dropout = nn.Dropout(0.4)
        self.second = nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(torch.tanh(self.first(x)))
        hidden = F.dropout(torch.tanh(self.second(hidden)), 0.4, self.training)
        found: Tensor = self.last(hidden)
        return found


class Transformer(nn.Module):
    """Tokens to classes by PyTorch's own encoder layer: MultiheadAttention, LayerNorm, GELU."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.layer = nn.TransformerEncoderLayer(
            WIDTH, 2, dim_feedforward=6, dropout=dropout, activation="gelu", batch_first=True
        )
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.head(self.layer(self.embedding(tokens)).mean(1))
        return found


class SelfAttention(nn.Module):
    """Causal attention by F.scaled_dot_product_attention."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.embedding(tokens)
        batch, length, _ = hidden.shape
        q, k, v = self.qkv(self.norm(hidden)).view(batch, length, 3, 2, -1).unbind(2)
        mixed = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True
        )
        hidden = hidden + F.gelu(mixed.transpose(1, 2).flatten(2))
        found: Tensor = self.head(hidden.mean(1))
        return found


class TiedAutoencoder(nn.Module):
    """One square matrix that encodes and, used again, decodes."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(FEATURES, FEATURES)
        self.decoder = nn.Linear(FEATURES, FEATURES)
        self.decoder.weight = self.encoder.weight

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.decoder(torch.tanh(self.encoder(x)))
        return found


@dataclass
class LanguageOutput:
    """What Hugging Face's models return."""

    loss: Tensor | None
    logits: Tensor


class LanguageModel(nn.Module):
    """The next token by an embedding whose matrix is also the output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.mixer = nn.Linear(WIDTH, WIDTH)
        self.unembedding = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.unembedding.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.unembedding(torch.tanh(self.mixer(self.embedding(tokens))))
        return found


class HuggingFaceLike(nn.Module):
    """Keyword arguments in, an object with .loss and .logits out; padding is -100 in the labels."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = LanguageModel()

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> LanguageOutput:
        logits = self.transformer(input_ids)
        loss = None if labels is None else F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return LanguageOutput(loss, logits)


class Recurrent(nn.Module):
    """The last state of a recurrent network."""

    def __init__(self, cell: type[nn.LSTM] | type[nn.GRU] = nn.LSTM) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 4)
        self.cell = cell(4, 5, batch_first=True)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        states, _ = self.cell(self.embedding(tokens))
        found: Tensor = self.head(states[:, -1])
        return found


def cut(data: Pair, sizes: Iterable[int]) -> list[Pair]:
    """The same samples in batches of these sizes."""
    stops = list(accumulate(sizes, initial=0))
    return [(data[0][start:stop], data[1][start:stop]) for start, stop in pairwise(stops)]


def classes(samples: int = 20, seed: int = 1, dtype: torch.dtype = torch.float32) -> Pair:
    """Features (n, 5) and one of 3 classes each."""
    return seeded(
        lambda: (
            torch.randn(samples, FEATURES, dtype=dtype),
            torch.randint(CLASSES, (samples,)),
        ),
        seed,
    )


def regression(samples: int = 20, seed: int = 1, dtype: torch.dtype = torch.float32) -> Pair:
    """Features (n, 5) and 2 real targets each."""
    return seeded(
        lambda: (
            torch.randn(samples, FEATURES, dtype=dtype),
            torch.randn(samples, 2, dtype=dtype),
        ),
        seed,
    )


def images(samples: int = 12, seed: int = 1, dtype: torch.dtype = torch.float32) -> Pair:
    """Images (n, 1, 6, 6) and one of 3 classes each."""
    return seeded(
        lambda: (
            torch.randn(samples, 1, 6, 6, dtype=dtype) * 2 + 0.5,
            torch.randint(CLASSES, (samples,)),
        ),
        seed,
    )


def sequences(samples: int = 9, seed: int = 1) -> Pair:
    """Token sequences (n, 4) and one of 3 classes each."""
    return seeded(
        lambda: (
            torch.randint(VOCABULARY, (samples, 4)),
            torch.randint(CLASSES, (samples,)),
        ),
        seed,
    )
