"""Logits from elsewhere, such as Keras: two .npy files are enough.

python examples/keras_logits.py && surefoot report logits.npy --labels labels.npy --scores logits
"""

import numpy as np

rng = np.random.default_rng(0)
truth = rng.normal(size=(2000, 5))
labels = (truth + rng.gumbel(size=truth.shape)).argmax(1)
np.save("logits.npy", (2 * truth).astype(np.float32))  # model.predict(x) without the softmax; here over-confident
np.save("labels.npy", labels)
print("logits.npy, labels.npy")
