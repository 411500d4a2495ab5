"""The recorder: the operations that a forward pass on real tensors calls, before decomposition.

PyTorch's dispatcher shows every operation as it is called (`linear`, not the product and the sum
that it consists of) to a mode under the key PreDispatch, which `torch.export` uses as well; its own
mode imports a compiler, this one imports nothing. A second mode watches the functions of PyTorch
that call no operation. They may read numbers, on which the recorded operations would then depend
without a trace, so that all but harmless ones end the recording; and sizes that count samples are
integers that refuse to be compared.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import ProxyTorchDispatchMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from landscape._export.graph import Reference, name_type

__all__ = ["NotRecorded", "Recording", "Step", "record_call"]


class NotRecorded(Exception):  # noqa: N818 - no error: another tracer takes over
    """A forward pass does what the recorder does not follow."""


@dataclass(frozen=True)
class Step:
    """One operation as it was called; tensors are references, lists are tuples."""

    name: str
    operation: torch._ops.OpOverload | None
    """None for one of several results: ``args`` is (them, an index)."""
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    shape: tuple[int, ...] | None
    """The result's axes; None for a result that is not one tensor."""
    dtype: str | None
    module: str
    module_type: str


@dataclass(frozen=True)
class Recording:
    """The operations of one call."""

    steps: tuple[Step, ...]
    outputs: Any
    """As the model returns them, with references in place of tensors."""
    constants: Mapping[str, Tensor]
    """Tensors that no operation made and that are no leaves."""


def record_call(
    model: nn.Module, inputs: Sequence[Any], leaves: Mapping[str, Tensor], batch: int | None
) -> Recording:
    """Call a model and record what it does.

    Args:
        model: A copy of the user's module, for the tracer.
        inputs: The arguments of its forward.
        leaves: The inputs, parameters and buffers by their names in the graph.
        batch: The number of samples, where a size that it divides is taken to count samples; None
            takes all sizes as they are.

    Raises:
        NotRecorded: The model reads values, writes into its tensors, switches the recording of
            derivatives, or does something else that a list of operations does not show; or it
            raises.
    """
    recorder = _Recorder(leaves)
    try:
        with (
            _module_paths(model, recorder),
            torch.autograd.graph.saved_tensors_hooks(_drop, _refuse_backward),
            torch._C._EnablePythonDispatcher(),
            _Watch(recorder, batch),
            recorder,
        ):
            outputs = model(*inputs)
        outputs = torch.utils._pytree.tree_map(recorder.refer_to, outputs)
    except Exception as error:  # this runs the user's code, which may raise anything
        raise recorder.failure or NotRecorded(f"{type(error).__name__}: {error}") from error
    if recorder.failure is not None:  # the model's code caught it
        raise recorder.failure
    return Recording(tuple(recorder.steps), outputs, dict(recorder.constants))


def _drop(_: Tensor) -> None:
    """Keep no activation for derivatives that nobody takes."""


def _refuse_backward(_: None) -> NoReturn:
    raise NotRecorded("the forward pass takes derivatives")


class _Recorder(ProxyTorchDispatchMode):
    """Called by the dispatcher for every operation, whose parts it does not see.

    The dispatcher accepts this class and PyTorch's own two here; nothing of it is used.
    """

    def __init__(self, leaves: Mapping[str, Tensor]) -> None:
        TorchDispatchMode.__init__(self, torch._C.DispatchKey.PreDispatch)  # type: ignore[no-untyped-call]
        self._mode_key = torch._C._TorchDispatchModeKey.PROXY
        self.enter_stack = []
        self.steps: list[Step] = []
        self.constants: dict[str, Tensor] = {}
        self.failure: NotRecorded | None = None
        self.modules: list[tuple[str, str]] = [("", "")]
        """Path and class of the modules under way, the innermost last."""
        self._names: MutableMapping[Tensor, str] = WeakIdKeyDictionary()
        """Of the tensors that are still in use, by identity."""
        self._counts: dict[str, int] = dict.fromkeys(leaves, 1)
        self._outside = {_storage(tensor) for tensor in leaves.values()}
        """The memory of tensors that the model holds, which nothing may write into."""
        for name, tensor in leaves.items():
            self._names[tensor] = name

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # PyTorch would import its compiler to keep it from compiling this class

    def fail(self, why: str) -> NoReturn:
        """End the recording, also where the model's code catches exceptions."""
        self.failure = self.failure or NotRecorded(why)
        raise self.failure

    def knows(self, tensor: Tensor) -> bool:
        """Whether a tensor is a leaf or the result of a recorded operation."""
        return tensor in self._names

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten.lift_fresh.default:  # of torch.tensor(): anew in every call
            func = torch.ops.aten.lift_fresh_copy.default
        self._refuse_other_states(func)
        plain = tuple(map(self._to_plain, args))
        plain_kwargs = {name: self._to_plain(value) for name, value in kwargs.items()}
        self._refuse_writes(func, args, kwargs)
        with torch._C._DisablePythonDispatcher():
            result = func(*args, **kwargs)
        self._append(func, plain, plain_kwargs, result)
        return result

    def _append(
        self,
        operation: torch._ops.OpOverload,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
    ) -> None:
        name = self._new_name(operation.overloadpacket.__name__)
        path, kind = self.modules[-1]
        make = partial(Step, module=path, module_type=kind)
        if isinstance(result, Tensor):
            self.steps.append(make(name, operation, args, kwargs, *_describe(result)))
            self._register(result, name)
            return
        parts = result if isinstance(result, (tuple, list)) else ()
        if not parts or not all(isinstance(part, Tensor) for part in parts):
            self.fail(f"{operation} returns {type(result).__name__}")
        self.steps.append(make(name, operation, args, kwargs, None, None))
        for index, part in enumerate(parts):
            item = self._new_name("getitem")
            self.steps.append(make(item, None, (Reference(name), index), {}, *_describe(part)))
            self._register(part, item)

    def refer_to(self, value: Any) -> Any:
        """A tensor as a reference; numbers and names as they are."""
        if isinstance(value, Tensor):
            if not self.knows(value):
                self.fail("an output is the result of no operation")
            return Reference(self._names[value])
        if value is None or type(value) in (bool, int, float, str):
            return value
        return self.fail(f"an output is of type {type(value).__name__}")

    def _to_plain(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return Reference(self._name_of(value))
        if isinstance(value, (tuple, list)):
            return tuple(map(self._to_plain, value))
        if not isinstance(value, _PLAIN):
            self.fail(f"an argument is of type {type(value).__name__}")
        return int.__int__(value) if isinstance(value, BatchSize) else value

    def _name_of(self, tensor: Tensor) -> str:
        name = self._names.get(tensor)
        if name is None:
            # not made by an operation, hence the same in every call: two calls are compared
            if type(tensor) is not Tensor or _storage(tensor) in self._outside:
                self.fail("a tensor is another view of the model's")
            name = self._new_name("_tensor_constant")
            self.constants[name] = tensor
            self._names[tensor] = name
            self._outside.add(_storage(tensor))
        return name

    def _register(self, tensor: Tensor, name: str) -> None:
        if type(tensor) is not Tensor and not self.knows(tensor):
            self.fail(f"a result is of type {type(tensor).__name__}")
        self._names[tensor] = name

    def _new_name(self, stem: str) -> str:
        count = self._counts.get(stem, 0)
        self._counts[stem] = count + 1
        return self._new_name(f"{stem}_{count}") if count else stem

    def _refuse_other_states(self, operation: Any) -> None:
        if not isinstance(operation, torch._ops.OpOverload):
            self.fail(f"{operation} is of a higher order")
        if not torch.is_grad_enabled() or torch.is_inference_mode_enabled():
            self.fail("the recording of derivatives is switched off")
        if torch.is_autocast_enabled("cpu") or torch._C._functorch.peek_interpreter_stack():
            self.fail("a transformation or autocast is on")
        if not _VALUE_TAGS.isdisjoint(operation.tags):
            self.fail(f"{operation} depends on values")

    def _refuse_writes(
        self, operation: torch._ops.OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        """Before they happen: the twin shares its tensors with the user's model."""
        if not operation._schema.is_mutable:
            return
        for index, argument in enumerate(operation._schema.arguments):
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            value = args[index] if index < len(args) else kwargs.get(argument.name)
            for tensor in value if isinstance(value, (tuple, list)) else (value,):
                if isinstance(tensor, Tensor) and _storage(tensor) in self._outside:
                    self.fail(f"{operation} changes a tensor of the model or an input")


class _Watch(TorchFunctionMode):
    """Called for every function of PyTorch that the model's own code calls."""

    def __init__(self, recorder: _Recorder, batch: int | None) -> None:
        super().__init__()
        self._recorder = recorder
        self._batch = batch

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        before = len(self._recorder.steps)
        result = func(*args, **kwargs)
        if func in _SIZES:
            return self._mark(result)
        is_same = func in _MAY_RETURN_SELF and isinstance(result, Tensor)
        if func in _HARMLESS or (is_same and self._recorder.knows(result)):
            return result
        if len(self._recorder.steps) == before and _holds_tensor((args, kwargs, result)):
            self._recorder.fail(f"{getattr(func, '__qualname__', func)} calls no operation")
        return result

    def _mark(self, sizes: Any) -> Any:
        if isinstance(sizes, torch.Size):
            return torch.Size(map(self._mark, sizes))
        if isinstance(sizes, tuple):
            return tuple(map(self._mark, sizes))
        if self._batch is None or type(sizes) is not int or sizes == 0 or sizes % self._batch:
            return sizes
        return BatchSize(sizes, self._batch, self._recorder.fail)


class BatchSize(int):
    """A multiple of the number of samples: an integer on whose value nothing may depend."""

    _batch: int
    _fail: Callable[[str], NoReturn]

    def __new__(cls, value: int, batch: int, fail: Callable[[str], NoReturn]) -> BatchSize:
        """Make one; `fail` is called where its value would matter."""
        size = super().__new__(cls, value)
        size._batch, size._fail = batch, fail
        return size

    def __mul__(self, other: Any) -> Any:
        if type(other) is not int:
            return self._refuse()
        return BatchSize(int.__mul__(self, other), self._batch, self._fail)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        if type(other) is not int or other == 0 or int.__mod__(self, other * self._batch):
            return self._refuse()
        return BatchSize(int.__floordiv__(self, other), self._batch, self._fail)

    def __eq__(self, other: object) -> bool:
        return int.__eq__(self, other) is True if type(other) is BatchSize else self._refuse()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return int.__hash__(self)

    def _refuse(self, *_: Any) -> NoReturn:
        self._fail("the model's code computes with the batch size")

    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = _refuse
    __truediv__ = __rtruediv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = _refuse
    __rdivmod__ = __pow__ = __rpow__ = __neg__ = __abs__ = __bool__ = __float__ = _refuse
    __int__ = __round__ = __and__ = __or__ = __xor__ = __lshift__ = __rshift__ = _refuse


@contextlib.contextmanager
def _module_paths(twin: nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Let the recorder know which module's forward is under way."""

    def enter(module: nn.Module, _: Any, *, path: str) -> None:
        recorder.modules.append((path, name_type(type(module))))

    def leave(*_: Any) -> None:
        recorder.modules.pop()

    handles = []
    for path, module in twin.named_modules():
        handles.append(module.register_forward_pre_hook(partial(enter, path=path)))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _describe(tensor: Tensor) -> tuple[tuple[int, ...], str]:
    return tuple(map(int, tensor.shape)), str(tensor.dtype).removeprefix("torch.")


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _holds_tensor(value: Any) -> bool:
    return any(isinstance(leaf, Tensor) for leaf in torch.utils._pytree.tree_leaves(value))


_PLAIN = (
    *(bool, int, float, complex, str, type(None)),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format),
)
"""Types of arguments that a graph may hold as they are."""

_VALUE_TAGS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
"""Operations whose result is a number, or of a shape, that values decide."""

_SIZES = {
    vars(torch._C.TensorBase)["shape"].__get__,
    *(Tensor.size, Tensor.numel, Tensor.nelement, Tensor.stride, Tensor.storage_offset),
    torch.numel,
}
"""Functions that return sizes, some of which may count samples."""

_HARMLESS = {
    *(Tensor.dim, Tensor.ndimension, Tensor.is_contiguous, Tensor.is_floating_point),
    *(Tensor.is_complex, Tensor.is_signed, Tensor.element_size, Tensor.get_device),
    *(torch.is_floating_point, torch.is_complex, torch.is_tensor),
    *(
        getattr(Tensor, name).__get__
        for name in (
            *("ndim", "dtype", "device", "layout", "requires_grad", "is_leaf", "itemsize"),
            *("is_cpu", "is_cuda", "is_sparse", "is_quantized", "is_mkldnn", "is_nested"),
            *("is_meta", "is_mps", "is_xpu", "is_sparse_csr"),
        )
        if hasattr(Tensor, name)
    ),
}
"""Functions that say what a tensor is, and nothing that its values or the batch size decide."""

_MAY_RETURN_SELF = {Tensor.__getitem__, Tensor.contiguous}
"""Functions that call no operation where there is nothing to do."""
