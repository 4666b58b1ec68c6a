"""What is done to a batch on the device: bytes to numbers, one normalisation, augmentation in training."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Prepare:
    """A preparation of batches of inputs (n, ...); the default leaves them as they are.

    Attributes:
        mean, std: of each channel of images (n, c, h, w) in [0, 1]; bytes are divided by 255 first. Empty: as they are.
        pad: in training, take a random window of the image padded with this many black pixels on each side.
        flip: in training, mirror half of the images.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    pad: int = 0
    flip: bool = False

    def __call__(self, x: Tensor, augment: bool = False) -> Tensor:
        """Prepare a batch; with `augment`, also shift and mirror, by the device's own random numbers.

        >>> Prepare(mean=(0.5,), std=(0.25,))(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
        tensor([[[[-2.,  2.]]]])
        """
        return self.normalise(self.numbers(x, augment))

    def numbers(self, x: Tensor, augment: bool = False) -> Tensor:
        """Do all but the normalisation: bytes become numbers in [0, 1]."""
        if augment and (self.pad or self.flip):
            x = self._augment(x)
        return x.float() / 255 if x.dtype == torch.uint8 else x

    def normalise(self, x: Tensor) -> Tensor:
        """Subtract the mean of each channel, divide by its deviation."""
        if not self.mean:
            return x
        mean, std = (torch.tensor(v, device=x.device).view(-1, 1, 1) for v in (self.mean, self.std))
        return (x - mean) / std

    def _augment(self, x: Tensor) -> Tensor:
        """Pick every image's window by one gather: the same few operations for any batch, on any device."""
        n, _, h, w = x.shape
        shift = torch.randint(2 * self.pad + 1, (2, n, 1), device=x.device)
        rows = shift[0] + torch.arange(h, device=x.device)
        columns = torch.arange(w, device=x.device).expand(n, w)
        if self.flip:
            columns = torch.where(torch.rand(n, 1, device=x.device) < 0.5, w - 1 - columns, columns)
        columns = columns + shift[1]
        padded = torch.nn.functional.pad(x, [self.pad] * 4)
        image = torch.arange(n, device=x.device)
        return padded.permute(0, 2, 3, 1)[image[:, None, None], rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)
