"""Image sets written as they are published, for the tests that read them."""

import io
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from scipy.io import savemat

RNG = np.random.default_rng(0)


def bytes_images(n, c=3, size=32):
    return RNG.integers(0, 256, (n, c, size, size), dtype=np.uint8)


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(int(s).to_bytes(4, "big") for s in array.shape)
    return head + array.tobytes()


def png(image):
    buffer = io.BytesIO()
    picture = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def write_mnist(folder, pack=lambda b: b, suffix=""):
    made = {}
    for prefix, n in (("train", 60), ("t10k", 20)):
        images, labels = bytes_images(n, 1, 28), (np.arange(n) % 10).astype(np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(images[:, 0])))
        (folder / f"{prefix}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(labels)))
        made[prefix] = images
    return made["t10k"]


def write_cifar10(folder, binary=False):
    made = []
    for name, n in (*((f"data_batch_{i}", 20) for i in range(1, 6)), ("test_batch", 20)):
        images, labels = bytes_images(n), np.arange(n) % 10
        if binary:
            rows = np.concatenate([labels[:, None].astype(np.uint8), images.reshape(n, -1)], 1)
            (folder / f"{name}.bin").write_bytes(rows.tobytes())
        else:
            batch = {b"data": images.reshape(n, -1), b"labels": labels.tolist(), b"batch_label": b"x"}
            (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
        made.append(images)
    return made[-1]


def write_cifar100(folder, binary=False):
    for name, n in (("train", 1000), ("test", 200)):
        images, fine = bytes_images(n), np.arange(n) % 100
        if binary:
            heads = np.stack([fine // 5, fine], 1).astype(np.uint8)
            (folder / f"{name}.bin").write_bytes(np.concatenate([heads, images.reshape(n, -1)], 1).tobytes())
        else:
            batch = {b"data": images.reshape(n, -1), b"fine_labels": fine.tolist(), b"coarse_labels": [0] * n}
            (folder / name).write_bytes(pickle.dumps(batch))
    return images


def write_svhn(folder):
    for name, n in (("train", 60), ("test", 20)):
        images, labels = bytes_images(n), np.arange(n) % 10
        savemat(
            folder / f"{name}_32x32.mat",
            {"X": images.transpose(2, 3, 1, 0), "y": np.where(labels, labels, 10)[:, None]},
        )
    return images


def write_parquet(folder, image="img", label="label", n=60):
    for split, rows in (("train", n), ("test", 20)):
        images, labels = bytes_images(rows), np.arange(rows) % 10
        cells = [{"bytes": png(x), "path": None} for x in images]
        pq.write_table(pa.table({image: cells, label: labels}), folder / f"{split}-00000-of-00001.parquet")
    return images


def write_pictures(folder, classes=10):
    images = []
    for split, n in (("train", 60), ("test", 20)):
        for i in range(n):
            path = folder / split / f"class{i % classes}" / f"{i:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = bytes_images(1)[0]
            path.write_bytes(png(image))
            if split == "test":
                images.append((path.parent.name, path.name, image))
    return np.stack([image for _, _, image in sorted(images, key=lambda x: x[:2])])


def write_tiny(folder):
    names = [f"n{i:08}" for i in range(200)]
    for name in names:
        below = folder / "train" / name / "images"
        below.mkdir(parents=True)
        for i in range(2):
            (below / f"{name}_{i}.JPEG").write_bytes(png(bytes_images(1, size=8)[0]))
    (folder / "val" / "images").mkdir(parents=True)
    images, lines = bytes_images(200, size=8), []
    for i, image in enumerate(images):
        (folder / "val" / "images" / f"val_{i}.JPEG").write_bytes(png(image))
        lines.append(f"val_{i}.JPEG\t{names[i]}\t0\t0\t62\t62")
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    return images
