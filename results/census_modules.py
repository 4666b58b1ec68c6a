"""Small modules of PyTorch for the census, exported by both of its exporters."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

IMAGE, ROW, WORDS = (1, 2, 6, 6), (1, 6), (1, 4, 6)


class Of(nn.Module):
    """A module of one function."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it."""
        return self.function(x)  # type: ignore[operator]


class Attention(nn.Module):
    """Self-attention of words."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend."""
        return self.inner(x, x, x)[0]


class Recurrent(nn.Module):
    """The last output of a recurrent layer."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take the last."""
        return self.inner(x)[0][:, -1]


_ACTIVATIONS = (
    nn.CELU, nn.ELU, nn.GELU, nn.GLU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.LeakyReLU,
    nn.LogSigmoid, nn.LogSoftmax, nn.Mish, nn.PReLU, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid, nn.Softmax,
    nn.Softmin, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink,
)  # fmt: skip
MODULES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    **{kind.__name__: (kind(), ROW) for kind in _ACTIVATIONS},
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d(3), IMAGE),
    "AdaptiveMaxPool2d": (nn.AdaptiveMaxPool2d(1), IMAGE),
    "Attention": (Attention(), WORDS),
    "AvgPool1d": (nn.AvgPool1d(2), WORDS),
    "AvgPool2d": (nn.AvgPool2d(3, 2, 1), IMAGE),
    "BatchNorm1d": (nn.BatchNorm1d(6), ROW),
    "BatchNorm2d": (nn.BatchNorm2d(2), IMAGE),
    "Conv1d": (nn.Conv1d(4, 3, 3), WORDS),
    "Conv2d": (nn.Conv2d(2, 4, 3, 2, 1, groups=2), IMAGE),
    "Conv3d": (nn.Conv3d(1, 2, 2), (1, 1, 3, 4, 4)),
    "ConvTranspose1d": (nn.ConvTranspose1d(4, 3, 3, 2), WORDS),
    "ConvTranspose2d": (nn.ConvTranspose2d(2, 3, 3, 2, 1, 1), IMAGE),
    "GRU": (Recurrent(nn.GRU(6, 3, batch_first=True)), WORDS),
    "GroupNorm": (nn.GroupNorm(2, 4), (1, 4, 3, 3)),
    "InstanceNorm2d": (nn.InstanceNorm2d(2, affine=True), IMAGE),
    "LPPool2d": (nn.LPPool2d(2, 2), IMAGE),
    "LSTM": (Recurrent(nn.LSTM(6, 3, batch_first=True)), WORDS),
    "LayerNorm": (nn.LayerNorm(6), WORDS),
    "LocalResponseNorm": (nn.LocalResponseNorm(3), (1, 4, 3, 3)),
    "MaxPool1d": (nn.MaxPool1d(2), WORDS),
    "MaxPool2d": (nn.MaxPool2d(3, 2, 1), IMAGE),
    "MaxPool3d": (nn.MaxPool3d(2), (1, 1, 4, 4, 4)),
    "PixelShuffle": (nn.PixelShuffle(2), (1, 4, 3, 3)),
    "PixelUnshuffle": (nn.PixelUnshuffle(2), IMAGE),
    "RMSNorm": (nn.RMSNorm(6), WORDS),
    "RNN": (Recurrent(nn.RNN(6, 3, batch_first=True)), WORDS),
    "ReflectionPad2d": (nn.ReflectionPad2d(1), IMAGE),
    "Threshold": (nn.Threshold(0.1, 20.0), ROW),
    "TransformerEncoderLayer": (nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), WORDS),
    "Upsample": (nn.Upsample(scale_factor=2), IMAGE),
    "Upsample, bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE),
    "Upsample, bicubic": (nn.Upsample(scale_factor=2, mode="bicubic"), IMAGE),
    "Upsample, corners": (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), IMAGE),
    "abs": (Of(torch.abs), ROW),
    "amax": (Of(lambda x: x.amax((2, 3))), IMAGE),
    "argmax": (Of(lambda x: x.argmax(1)), ROW),
    "assignment": (Of(lambda x: x.index_fill(1, torch.tensor([1, 3]), 0.5)), ROW),
    "batch of four": (nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)), (4, *IMAGE[1:])),
    "ceil": (Of(torch.ceil), ROW),
    "clamp": (Of(lambda x: x.clamp(-0.5, 0.7)), ROW),
    "cosine similarity": (Of(lambda x: F.cosine_similarity(x[:, :3], x[:, 3:])), ROW),
    "cumsum": (Of(lambda x: x.cumsum(1)), ROW),
    "einsum": (Of(lambda x: torch.einsum("bij,bkj->bik", x, x)), WORDS),
    "floor": (Of(torch.floor), ROW),
    "logsumexp": (Of(lambda x: x.logsumexp(1)), ROW),
    "masked_fill": (Of(lambda x: x.masked_fill(x > 0, 0.25)), ROW),
    "norm": (Of(lambda x: x.norm(dim=1)), ROW),
    "normalize": (Of(F.normalize), ROW),
    "round": (Of(torch.round), ROW),
    "sign": (Of(torch.sign), ROW),
    "std": (Of(lambda x: x.std(1)), ROW),
    "topk": (Of(lambda x: x.topk(2)[0]), ROW),
    "tril": (Of(torch.tril), WORDS),
    "var": (Of(lambda x: x.var(1)), ROW),
    "where": (Of(lambda x: torch.where(x > 0.1, x, x.exp())), ROW),
}


def exported() -> Iterator[tuple[str, Path]]:
    """Export every module by both exporters, each into a file of its own; what one does not write is left out."""
    logging.disable(logging.ERROR)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (module, shape) in MODULES.items():
            x = torch.rand(shape)
            for exporter, new in (("dynamo", True), ("TorchScript", False)):
                path = Path(folder, f"{name}-{exporter}.onnx")
                try:
                    program = torch.onnx.export(module.eval(), (x,), None if new else path, dynamo=new, verbose=False)
                except Exception:
                    continue
                if program is not None:
                    path.write_bytes(program.model_proto.SerializeToString())
                yield f"torch {exporter}/{name}", path
