"""Read a network from PyTorch: by `torch.export` to ONNX, and from there."""

import logging
import warnings

import torch
from torch import nn

from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph
from surefoot.graph.onnx_in import graph_of_onnx


def graph_of_module(module: nn.Module, example: torch.Tensor) -> Graph:
    """Translate a module, in inference mode, given an example of its input (a batch of any size).

    Raises:
        InputError: the module cannot be exported, or holds an operation that is not in the list.
    """
    training = module.training
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        module.eval()
        logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(module, (example[:1],), dynamo=True, verbose=False)
        assert program is not None
        model = program.model_proto
    except Exception as error:  # whatever the exporter raises
        raise InputError(f"{type(module).__name__} cannot be exported to ONNX: {error}") from error
    finally:
        module.train(training)
        logger.setLevel(level)
    return graph_of_onnx(model)
