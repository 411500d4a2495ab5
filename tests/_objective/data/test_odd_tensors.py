"""Sparse, nested and packed tensors and graphs in data: right, or refused by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import seeded
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from landscape import Objective, batch_loss, hessian

NODES = 12
X = seeded(lambda: torch.randn(NODES, 3))
EDGES = seeded(lambda: torch.randint(NODES, (2, 30)))
Y = seeded(lambda: torch.randint(3, (NODES,)))
SPARSE = torch.sparse_coo_tensor(
    EDGES, torch.ones(30), (NODES, NODES), check_invariants=True
).coalesce()

pytestmark = [
    pytest.mark.filterwarnings("ignore:Sparse"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
]


class Convolution(nn.Module):
    """A graph convolution, over a list of edges or a sparse matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = seeded(lambda: nn.Linear(3, 3))

    def forward(self, edges: Tensor, x: Tensor) -> Tensor:
        hidden: Tensor = self.layer(x)
        if edges.layout != torch.strided:
            return edges @ hidden
        return hidden.index_add(0, edges[1], hidden[edges[0]])


@pytest.mark.parametrize("kind", ["edges", "coo", "csr"])
@pytest.mark.parametrize("form", ["whole", "a batch"])
def test_a_graph_whose_edges_come_first(kind: str, form: str) -> None:
    """Neither 2 nor 30 is the number of samples: outputs and targets are of nodes."""
    edges = EDGES if kind == "edges" else SPARSE if kind == "coo" else SPARSE.to_sparse_csr()
    model = Convolution()
    expected = F.cross_entropy(model(edges, X), Y).item()
    whole = ((edges, X), Y)
    objective = Objective(model, whole if form == "whole" else [whole])
    assert objective.samples == NODES
    assert objective.loss() == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(objective.gradient()).all()
    assert objective.metrics("accuracy")["accuracy"] == pytest.approx(
        float((model(edges, X).argmax(1) == Y).double().mean())
    )
    with pytest.raises(
        ValueError, match=r"batch_size=4 .*that can be cut.*\(2, 30\)|sparse|ragged"
    ):
        Objective(model, whole, batch_size=4)


@pytest.mark.parametrize("layout", ["coo", "csr", "csc"])
def test_a_sparse_matrix_of_samples(layout: str) -> None:
    class Sparse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = seeded(lambda: nn.Linear(3, 3))

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = x @ self.layer.weight.T + self.layer.bias
            return found

    dense = torch.where(X > 0, X, 0)
    model = Sparse()
    expected = F.cross_entropy(model(dense), Y).item()
    convert: Any = {
        "coo": torch.Tensor.to_sparse,
        "csr": torch.Tensor.to_sparse_csr,
        "csc": torch.Tensor.to_sparse_csc,
    }[layout]
    batches = [(convert(dense[:5]), Y[:5]), (convert(dense[5:]), Y[5:])]
    for data in (batches, (convert(dense), Y)):
        for budget in (1 << 20, 1):
            objective = Objective(model, data, memory_budget=budget)
            assert objective.samples == NODES
            assert objective.loss() == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="samples= needs data whose samples can be picked"):
        Objective(model, batches, samples=3)


def test_data_are_told_apart_by_their_numbers() -> None:
    """The checksum reads the values of sparse tensors, graphs and packed sequences too."""

    def policy(data: Any, model: nn.Module) -> str:
        loss = batch_loss(lambda net, _: next(net.parameters()).sum())
        return str(Objective(model, data, loss).policy["data"])

    model = Convolution()
    pairs: list[tuple[Any, Any]] = [
        (SPARSE, 2 * SPARSE),
        (SPARSE.to_sparse_csr(), 2 * SPARSE.to_sparse_csr()),
        (pack_sequence([X]), pack_sequence([2 * X])),
        (Graph(X, EDGES, Y), Graph(2 * X, EDGES, Y)),
        (
            torch.nested.nested_tensor([X, X[:3]]),
            torch.nested.nested_tensor([X, 2 * X[:3]]),
        ),
    ]
    for first, second in pairs:
        assert policy([first], model) == policy([first], model)
        assert policy([first], model) != policy([second], model)


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_tensors(layout: torch.layout) -> None:
    class Means(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = seeded(lambda: nn.Linear(3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.layer(rows).mean(0) for rows in x.unbind()])

    rows = seeded(lambda: [torch.randn(n, 3) for n in (3, 5, 2, 2, 7)])
    y, model = Y[:5], Means()
    expected = F.cross_entropy(torch.stack([model.layer(r).mean(0) for r in rows]), y).item()
    batches = [
        (torch.nested.nested_tensor(rows[:2], layout=layout), y[:2]),
        (torch.nested.nested_tensor(rows[2:], layout=layout), y[2:]),
    ]
    for budget in (1 << 20, 1):
        objective = Objective(model, batches, memory_budget=budget)
        assert objective.samples == 5
        assert objective.loss() == pytest.approx(expected, rel=1e-6)
        assert np.isfinite(objective.gradient()).all()


def test_packed_sequences_in_another_dtype() -> None:
    class Means(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = seeded(lambda: nn.GRU(3, 3))

        def forward(self, x: PackedSequence) -> Tensor:
            found: Tensor = self.cell(x)[1][-1]
            return found

    model = Means()
    rows = seeded(lambda: [torch.randn(n, 3) for n in (3, 5, 2)])
    packed = pack_sequence(rows, enforce_sorted=False)
    expected = F.cross_entropy(model(packed), Y[:3]).item()
    objective = Objective(model, [(packed, Y[:3])], dtype=torch.float64)
    assert objective.loss() == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(objective.gradient()).all()


def test_packed_sequences_alone() -> None:
    """Two of them are two batches, in a list and in a tuple."""
    rows = seeded(lambda: [torch.randn(n, 3) for n in (3, 5, 2)])
    pair = [pack_sequence(rows[:1]), pack_sequence(rows[1:][:1])]
    loss = batch_loss(lambda model, batch: model(batch.data).square().mean())
    model = seeded(lambda: nn.Linear(3, 2))
    expected = np.mean([model(r).square().mean().item() for r in rows[:2]])
    for data in (pair, tuple(pair)):
        objective = Objective(model, data, loss)
        assert (objective.samples, objective.batches) == (2, 2)
        assert objective.loss() == pytest.approx(float(expected), rel=1e-6)


class Graph:
    """As the Data and Batch of PyTorch Geometric."""

    def __init__(
        self,
        x: Tensor,
        edge_index: Tensor,
        y: Tensor | None,
        graph: Tensor | None = None,
        **masks: Tensor,
    ) -> None:
        self.x, self.edge_index, self.y, self.graph = x, edge_index, y, graph
        self.__dict__.update(masks)
        if graph is not None:
            self.num_graphs = int(graph.max()) + 1

    @property
    def num_nodes(self) -> int:
        return len(self.x)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __iter__(self) -> Any:
        return iter(self.__dict__.items())

    def to(self, device: torch.device) -> Graph:
        return copy.copy(self).apply(lambda tensor: tensor.to(device))

    def apply(self, function: Callable[[Tensor], Tensor]) -> Graph:
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor):
                self.__dict__[name] = function(value)
        return self


class Nodes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = Convolution()

    def forward(self, graph: Graph) -> Tensor:
        found: Tensor = self.net(graph.edge_index, graph.x)
        return found


class Graphs(Nodes):
    """A class for each graph, from the sum of its nodes."""

    def forward(self, graph: Graph) -> Tensor:
        nodes = super().forward(graph)
        index = torch.zeros(len(nodes), dtype=torch.long) if graph.graph is None else graph.graph
        return nodes.new_zeros(int(index.max()) + 1, 3).index_add(0, index, nodes)


def draw(sizes: tuple[int, ...], of: str) -> list[Graph]:
    random = torch.Generator().manual_seed(1)
    return [
        Graph(
            torch.randn(n, 3, generator=random),
            torch.randint(n, (2, 2 * n), generator=random),
            torch.randint(3, (n if of == "nodes" else 1,), generator=random),
        )
        for n in sizes
    ]


def join(graphs: list[Graph]) -> Graph:
    starts = np.cumsum([0, *(g.num_nodes for g in graphs[:-1])])
    return Graph(
        torch.cat([g.x for g in graphs]),
        torch.cat([g.edge_index + int(s) for g, s in zip(graphs, starts, strict=True)], dim=1),
        torch.cat([g.y for g in graphs if g.y is not None]),
        torch.cat([torch.full((g.num_nodes,), i) for i, g in enumerate(graphs)]),
    )


def own(model: nn.Module, graph: Graph) -> Tensor:
    assert graph.y is not None
    return F.cross_entropy(model(graph), graph.y)


@pytest.mark.parametrize("of", ["nodes", "graphs"])
@pytest.mark.parametrize("loss", [None, nn.CrossEntropyLoss(), batch_loss(own)])
def test_graphs_are_weighted_by_what_their_targets_are_of(of: str, loss: Any) -> None:
    model = Nodes() if of == "nodes" else Graphs()
    graphs = draw((4, 7, 3, 9, 5), of)
    expected = own(model, join(graphs)).item()
    for data in (graphs, join(graphs), [join(graphs[:2]), join(graphs[2:])]):
        objective = Objective(model, data, loss)
        assert objective.loss() == pytest.approx(expected, rel=1e-6)
        assert objective.samples == (28 if of == "nodes" else 5)
    assert Objective(model, graphs, loss, dtype=torch.float64).loss() == pytest.approx(
        expected, rel=1e-6
    )
    if loss is None:
        first = hessian(model, graphs, curvature="fisher").dense()
        second = hessian(model, graphs, curvature="gauss_newton").dense()
        np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_single_graph_is_one_batch() -> None:
    (graph,) = draw((9,), "nodes")
    model = Nodes()
    objective = Objective(model, graph)
    assert (objective.samples, objective.batches) == (9, 1)
    assert objective.loss() == pytest.approx(own(model, graph).item(), rel=1e-6)


def test_masks_and_missing_targets_need_a_weight() -> None:
    graphs = draw((9, 5), "nodes")
    for graph, count in zip(graphs, (5, 4), strict=True):
        graph.__dict__["train_mask"] = torch.arange(graph.num_nodes) < count

    def masked(model: nn.Module, graph: Any) -> Tensor:
        mask = graph.train_mask
        return F.cross_entropy(model(graph)[mask], graph.y[mask])

    model, loss = Nodes(), batch_loss(masked)
    with pytest.raises(
        ValueError, match=r"y \(shape \(9,\)\) 9, train_mask \(a mask\) 5; .*weight="
    ):
        Objective(model, graphs, loss)
    found = Objective(model, graphs, loss, weight=lambda graph: graph.train_mask.sum())
    values = [masked(model, graph).item() for graph in graphs]
    assert found.loss() == pytest.approx(np.average(values, weights=(5, 4)), rel=1e-6)
    assert Objective(model, graphs[:1], loss).loss() == pytest.approx(values[0], rel=1e-6)
    for graph in graphs:
        graph.y = None
        del graph.__dict__["train_mask"]
    with pytest.raises(
        ValueError, match=r"num_graphs \(graphs\) 1, num_nodes \(nodes\) 9.*weight="
    ):
        Objective(model, graphs, batch_loss(lambda net, g: net(g).square().mean()))


@pytest.mark.parametrize("of", ["nodes", "graphs"])
def test_real_graphs(of: str) -> None:
    data = pytest.importorskip("torch_geometric.data")
    graphs = draw((4, 7, 3), of)
    real = [data.Data(x=g.x, edge_index=g.edge_index, y=g.y) for g in graphs]
    whole = data.Batch.from_data_list(real)

    class Real(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Nodes() if of == "nodes" else Graphs()

        def forward(self, graph: Any) -> Tensor:
            found: Tensor = self.net(Graph(graph.x, graph.edge_index, graph.y, graph.batch))
            return found

    model = Real()
    expected = own(model, whole).item()
    for form in (real, whole, [whole]):
        assert Objective(model, form).loss() == pytest.approx(expected, rel=1e-6)
