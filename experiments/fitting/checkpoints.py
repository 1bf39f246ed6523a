"""The checkpoint of a fit: tensors, numbers and texts, with a digest of them.

A checkpoint may come from anybody. It is read without running code, holds no more than its size on
the disk says, and is refused if a bit has changed. Only the functions import torch.
"""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.errors import DataError
from ...data.files import written_atomically
from ...data.steady_files import SteadyFile

if TYPE_CHECKING:
    import torch
    from torch import nn

CHECKPOINT = "checkpoint.pt"
_DIGEST = "digest"
# Tensors, numbers and texts in a checkpoint; there are some hundred.
_MOST_PARTS = 1_000_000
# Bytes that the objects of a fit may take beside those in its checkpoint, such as grids.
_ALLOWANCE = 1 << 28
# Functions of torch that take a shape and allocate memory.
_ALLOCATING = {"empty", "zeros", "ones", "full", "rand", "randn", "eye"}


def write_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Write ``checkpoint.pt``; the one before it stays until the new one is complete.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    import torch

    whole = {**state, _DIGEST: digest_of(state)}
    with written_atomically(folder / CHECKPOINT) as temporary, SteadyFile(temporary) as file:
        torch.save(whole, file)


def read_checkpoint(folder: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read ``checkpoint.pt`` onto any device.

    Raises
    ------
    DataError
        If it is missing or damaged, or is no checkpoint.
    """
    import torch

    path = folder / CHECKPOINT
    try:
        _check_archive(path)
        state = torch.load(path, map_location=device, weights_only=True)
        if not isinstance(state, dict):
            raise ValueError("it holds no dictionary")
        saved = state.pop(_DIGEST, None)
        if saved != digest_of(state):
            raise ValueError("its digest is another: a bit has changed")
    except MemoryError:
        raise
    except Exception as error:  # damage may lead to any
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        raise DataError(f"{path}: cannot be read ({reason}); fit again") from error
    return state


def _check_archive(path: Path) -> None:
    """Raise a ValueError if the parts of an archive take more than the file."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if packed or sum(member.file_size for member in members) > path.stat().st_size:
        raise ValueError("its parts are larger than the file")


def digest_of(state: Mapping[str, Any]) -> str:
    """SHA-256 of everything in a state."""
    digest = hashlib.sha256()
    for number, part in enumerate(_parts(state)):
        if number > _MOST_PARTS:
            raise ValueError("it holds too many parts")
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[bytes]:
    """Yield the bytes of a value and of everything in it, with types, names and shapes."""
    import torch

    if isinstance(value, torch.Tensor):
        size = value.numel() * value.element_size()
        if size > value.untyped_storage().nbytes():
            raise ValueError(f"a tensor of {size} bytes is larger than what is stored of it")
        yield f"{value.dtype} {tuple(value.shape)}".encode()
        if size:
            yield value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    elif isinstance(value, Mapping):
        yield f"dict {len(value)}".encode()
        # In one order, as optimisers give their parameters in any.
        for name, own in sorted(value.items(), key=lambda item: repr(item[0])):
            yield repr(name).encode()
            yield from _parts(own)
    elif isinstance(value, list | tuple):
        yield f"list {len(value)}".encode()
        for own in value:
            yield from _parts(own)
    else:
        yield f"{type(value).__name__} {value!r}".encode()


@contextmanager
def size_bounded(folder: Path) -> Iterator[None]:
    """Refuse tensors that no model in the checkpoint of a fit can need.

    Without it a line in ``config.json`` could ask for any amount of memory.

    Raises
    ------
    DataError
        If a tensor would be larger than the checkpoint.
    """
    from torch.overrides import TorchFunctionMode

    path = folder / CHECKPOINT
    most = _ALLOWANCE + (path.stat().st_size if path.exists() else 0)

    class Bound(TorchFunctionMode):
        def __torch_function__(self, function, types, arguments=(), options=None):
            name = getattr(function, "__name__", "")
            if name in _ALLOCATING and 4 * _num_elements(name, arguments, options or {}) > most:
                raise DataError(
                    f"{folder}: its configuration asks for more parameters than {CHECKPOINT} "
                    "holds; fit again"
                )
            return function(*arguments, **(options or {}))

    with Bound():
        yield


def _num_elements(name: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> int:
    """Elements of the tensor that a call of an allocating function makes."""
    shape = options.get("size", arguments)
    if shape and not isinstance(shape[0], int):
        shape = shape[0]
    sizes = [size for size in shape if isinstance(size, int)]
    return sizes[0] ** 2 if name == "eye" and len(sizes) == 1 else math.prod(sizes)


def load_modules(folder: Path, device: torch.device, modules: dict[str, nn.Module]) -> None:
    """Move a new model and guide to a device and load their state from a checkpoint.

    Raises
    ------
    DataError
        If the checkpoint is missing or damaged, or belongs to other modules.
    """
    state = read_checkpoint(folder, device)
    for name, module in modules.items():
        load_module(module.to(device), state.get(name, {}), f"{folder}: its {name}")
        module.eval()


def load_module(module: nn.Module, saved: dict[str, torch.Tensor], owner: str) -> None:
    """Load the state of a module.

    Raises
    ------
    DataError
        If the state belongs to another module; ``owner`` names it.
    """
    if reason := _difference(module, saved):
        raise DataError(
            f"{owner} does not fit {type(module).__name__} as it is now ({reason}); restore the "
            "class, or fit again"
        )
    module.load_state_dict(saved)


def _difference(module: nn.Module, saved: dict[str, torch.Tensor]) -> str:
    """Name the first difference between tensors of a module and saved ones; empty for none."""
    wanted = module.state_dict()
    if not isinstance(saved, Mapping):
        return "it is no dictionary"
    for name in wanted:
        if name not in saved:
            return f"{name} is not in the checkpoint"
        if not hasattr(saved[name], "shape"):
            return f"{name} is no tensor"
        if wanted[name].shape != saved[name].shape:
            return f"{name} has shape {tuple(saved[name].shape)}, not {tuple(wanted[name].shape)}"
        if saved[name].isnan().any():
            return f"{name} holds NaN"
    surplus = [name for name in saved if name not in wanted]
    return f"{surplus[0]} is no longer there" if surplus else ""
