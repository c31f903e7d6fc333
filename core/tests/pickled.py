"""Small checkpoints in the containers of every code base, and hostile ones, for tests of the unpickler."""

from __future__ import annotations

import argparse
import collections
import io
import pickle
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

PROTOCOLS = range(6)


class EasyDict(dict[str, Any]):
    """Stands for ``dnnlib.util.EasyDict``."""


class Network:
    """Stands for ``dnnlib.tflib.network.Network``: its state is a dict."""

    def __init__(self, **state: Any) -> None:
        self.state = state

    def __getstate__(self) -> dict[str, Any]:
        return self.state


class Opinion:
    """A class nobody knows."""


def _reconstruct_persistent_obj(meta: Any) -> Any:
    raise AssertionError("nothing may call this")


class Persistent:
    """Pickled as StyleGAN2-ADA and StyleGAN3 do."""

    def __init__(self, name: str, **state: Any) -> None:
        self.name, self.state = name, state

    def __reduce__(self) -> tuple[Any, ...]:
        source = "raise AssertionError('the source of a persistence object ran')"
        meta = {"type": "class", "version": 6, "module_src": source, "class_name": self.name, "state": self.state}
        return _reconstruct_persistent_obj, (EasyDict(meta),)


_HOMES = {
    EasyDict: "dnnlib.util",
    Network: "dnnlib.tflib.network",
    Opinion: "somewhere.else_",
    _reconstruct_persistent_obj: "torch_utils.persistence",
}


@contextmanager
def foreign_modules() -> Iterator[None]:
    """The modules in which pickles look the classes above up exist."""
    modules = {name: ModuleType(name) for name in ("dnnlib", "dnnlib.tflib", "torch_utils", "somewhere")}
    modules |= {home: ModuleType(home) for home in _HOMES.values()}
    before = {thing: thing.__module__ for thing in _HOMES}
    for thing, home in _HOMES.items():
        thing.__module__ = home
        setattr(modules[home], thing.__name__, thing)
    try:
        with mock.patch.dict(sys.modules, modules):
            yield
    finally:
        for thing, home in before.items():
            thing.__module__ = home


def everything() -> dict[str, Any]:
    """A value of every admitted kind."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 6, generator=generator)
    return {
        "float32": weight,
        "transposed": weight.T,
        "part": weight[1:3, ::2],
        "expanded": torch.ones(3).expand(4, 3),
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
        "parameter": nn.Parameter(torch.ones(2)),
        "float64": weight.double(),
        "float16": weight.half(),
        "bfloat16": weight.bfloat16(),
        "int64": torch.arange(5),
        "uint8": torch.arange(5, dtype=torch.uint8),
        "int16": torch.arange(-3, 3, dtype=torch.int16),
        "bool": torch.tensor([True, False]),
        "complex64": torch.ones(2, dtype=torch.complex64),
        "size": torch.Size([1, 2]),
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "ordered": collections.OrderedDict(b=1, a=[2.5, None, True]),
        "default": collections.defaultdict(list, {1: [2]}),
        "counter": collections.Counter("aab"),
        "set": {1, 2},
        "frozen": frozenset("ab"),
        "bytes": b"\0\xff",
        "text": "α\n",
        "large": 1 << 70,
        "complex": 1 + 2j,
        "path": PurePosixPath("/a/b"),
        "array": np.arange(6.0).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big_endian": np.arange(3, dtype=">f4"),
        "numpy": np.float32(1.5),
        "options": argparse.Namespace(width=4, nested=argparse.Namespace(deep=True)),
    }


def saved(value: Any, *, legacy: bool = False, protocol: int = 2) -> bytes:
    """A PyTorch file."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(value, content, _use_new_zipfile_serialization=not legacy, pickle_protocol=protocol)
    return content.getvalue()


def persistence(tensor: Tensor) -> dict[str, Any]:
    """A StyleGAN snapshot: a module inside a module, with a buffer that is not kept."""
    layer = Persistent(
        "FullyConnectedLayer",
        _parameters=collections.OrderedDict(weight=nn.Parameter(tensor), bias=None),
        _buffers=collections.OrderedDict(noise=torch.ones(2), passing=torch.zeros(1)),
        _non_persistent_buffers_set={"passing"},
        _modules=collections.OrderedDict(),
        gain=np.float64(0.5),
    )
    whole = Persistent(
        "Generator",
        _parameters=collections.OrderedDict(),
        _buffers=collections.OrderedDict(w_avg=torch.arange(3.0)),
        _modules=collections.OrderedDict(mapping=layer, nothing=None),
        _init_args=(8,),
        _init_kwargs=EasyDict(c_dim=0, mapping_kwargs=EasyDict(num_layers=2)),
    )
    return {"G": None, "D": None, "G_ema": whole, "training_set_kwargs": EasyDict(path="data.zip")}


def tensorflow(array: Any) -> tuple[Network, ...]:
    """What ``pickle.dump((G, D, Gs), file)`` of StyleGAN2 in TensorFlow holds."""
    mapping = Network(version=4, name="G_mapping", static_kwargs=EasyDict(dlatent_size=4), components={}, variables=[])
    networks = [
        Network(
            version=4,
            name=name,
            static_kwargs=EasyDict(resolution=8, func_name="training.networks_stylegan2.G_main"),
            components=EasyDict(mapping=mapping),
            build_module_src="raise AssertionError('the source of a network ran')",
            build_func_name="G_main",
            variables=[("mapping/Dense0/weight", array), ("lod", np.float32(0.0))],
        )
        for name in ("G", "D", "Gs")
    ]
    return tuple(networks)


def samples() -> dict[str, bytes]:
    """Small files of every kind that must be readable."""
    tensor, array = torch.arange(6.0).reshape(2, 3), np.arange(6, dtype=np.float32).reshape(2, 3)
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    training = {
        "state_dict": {f"module.{name}": value for name, value in network.state_dict().items()},
        "args": argparse.Namespace(dataset="celeba_64"),
        "optimizer": torch.optim.AdamW(network.parameters()).state_dict(),
    }
    found = {f"plain{protocol}.pkl": pickle.dumps(everything(), protocol) for protocol in PROTOCOLS}
    found |= {"zip.pt": saved(everything()), "legacy.pt": saved(everything(), legacy=True)}
    found |= {"training.pt": saved(training), "training_legacy.pt": saved(training, legacy=True)}
    found |= {"module.pt": saved(network), "module_legacy.pt": saved(network, legacy=True)}
    with foreign_modules():
        found |= {f"stylegan{protocol}.pkl": pickle.dumps(persistence(tensor), protocol) for protocol in (2, 4)}
        found |= {f"tensorflow{protocol}.pkl": pickle.dumps(tensorflow(array), protocol) for protocol in PROTOCOLS}
    return found
