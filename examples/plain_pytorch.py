"""A training loop of your own: one line changes, and the table it leaves is what every command reads.

python examples/plain_pytorch.py && surefoot report predictions.npz
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from surefoot.losses import ByConfidence, FocalLoss

x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
train, validation, test = order[:1000], order[1000:1300], order[1300:]

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
criterion = FocalLoss(gamma=ByConfidence())  # was: nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for _ in range(20):
    for batch in train[torch.randperm(len(train))].split(64):
        optimizer.zero_grad()
        criterion(model(x[batch]), y[batch]).backward()
        optimizer.step()

held = torch.cat([validation, test])
with torch.no_grad():
    logits = model(x[held]).numpy()
split = np.repeat(["validation", "test"], [len(validation), len(test)])
np.savez("predictions.npz", logits=logits, labels=y[held].numpy(), split=split)
print(f"predictions.npz: {len(held)} rows")
