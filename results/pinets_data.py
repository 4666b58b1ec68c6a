"""The claims of the Pi-net papers on other data, each in minutes on one core. Writes pinets_data.json, .md, pictures.

    python results/pinets_data.py audio --data DATA        spoken digits, two speakers held out
    python results/pinets_data.py graph --data DATA        Cora
    python results/pinets_data.py faces --data DATA        ORL: are two pictures of one person, whom training never saw?
    python results/pinets_data.py generation --data DATA   digits and MNIST: samples, and a Frechet distance
    python results/pinets_data.py mesh --data DATA         a horse: poses held out, by degree, and PCA
    python results/pinets_data.py page

A part goes on where it was stopped.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
import torch.nn.functional as F
from harness import HERE, Kept, section
from PIL import Image
from scipy.linalg import sqrtm
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor, nn

from surefoot.core.files import whole_file
from surefoot.data import load_data
from surefoot.data.spectrograms import spectrogram
from surefoot.losses.margin import AngularMarginLoss
from surefoot.metrics import METRICS, measure
from surefoot.models import (
    MLP,
    CosineHead,
    InjectionGenerator,
    MeshAutoencoder,
    PiResNet,
    PolynomialEmbedding,
    PolynomialGenerator,
    PolynomialGraphFilter,
    SmallCNN,
)
from surefoot.models.graph_filter import normalised_adjacency
from surefoot.recalibrate import TemperatureScaling

SEEDS = (0, 1, 2)
KEPT = Kept("pinets_data.json")


def keep(key: str, begin: float, **found: Any) -> None:
    """Keep what was found, and the seconds since its begin."""
    KEPT.add(key, {**found, "cpu": time.process_time() - begin})


def batches(n: int, size: int, seed: int) -> Iterator[Tensor]:
    """Shuffle numbers below n into batches."""
    yield from torch.randperm(n, generator=torch.Generator().manual_seed(seed)).split(size)


def descend(module: nn.Module, loss: Callable[[Tensor], Tensor], n: int, epochs: int, size: int, lr: float) -> None:
    """AdamW with a cosine and clipped gradients; `loss` takes the numbers of a batch."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=lr, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    module.train()
    for epoch in range(epochs):
        for batch in batches(n, size, epoch):
            optimizer.zero_grad()
            loss(batch).backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
        schedule.step()
    module.eval()


def judged(logits: Tensor, labels: Tensor, held_out: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Measure accuracy and calibration, and the temperature that held-out rows ask for."""
    p = logits.double().softmax(1).numpy()
    read = measure([(p, labels.numpy())], [METRICS[m] for m in ("accuracy", "nll", "ece")])
    t = TemperatureScaling().fit(*(x.double().numpy() if x.is_floating_point() else x.numpy() for x in held_out))
    return {**{m: r.value for m, r in read.items()}, "floor": read["ece"].floor, "temperature": t.temperature_}


def parameters(module: nn.Module) -> int:
    """Count them."""
    return sum(p.numel() for p in module.parameters())


def audio(data: Path) -> None:
    """Spoken digits as spectrograms; the speakers of the test part are in no other."""
    held = np.load(data / "audio" / "free_spoken_digits.npz")
    ends = np.cumsum(held["lengths"])
    cut = zip(ends - held["lengths"], ends, strict=True)
    x = np.stack([spectrogram(held["samples"][a:b], int(held["rate"])) for a, b in cut])
    y, speaker = torch.from_numpy(held["labels"].astype(np.int64)), held["speakers"]
    test, val = np.isin(speaker, ["theo", "nicolas"]), speaker == "lucas"
    train = ~test & ~val
    x = torch.from_numpy((x - x[train].mean()) / x[train].std()).float().unsqueeze(1)
    nets: dict[str, Callable[[], nn.Module]] = {
        "linear": lambda: MLP((1, 32, 32), 10, widths=()),
        "relu cnn": lambda: SmallCNN((1, 32, 32), 10),
        "pi-resnet, no activation": lambda: PiResNet((1, 32, 32), 10, (1, 1, 1), (16, 32, 48), mixed=True),
        "pi-resnet, relu": lambda: PiResNet((1, 32, 32), 10, (1, 1, 1), (16, 32, 48), activation=True, mixed=True),
    }
    where = [torch.from_numpy(np.flatnonzero(part)) for part in (train, val, test)]
    for name, make in nets.items():
        for seed in SEEDS:
            key = f"audio|{name}|{seed}"
            if key in KEPT:
                continue
            begin = time.process_time()
            torch.manual_seed(seed)
            net = make()

            def loss(batch: Tensor, net: nn.Module = net) -> Tensor:
                return F.cross_entropy(net(x[where[0][batch]]), y[where[0][batch]])

            descend(net, loss, len(where[0]), 25, 64, 2e-3)
            with torch.no_grad():
                found = judged(net(x[where[2]]), y[where[2]], (net(x[where[1]]), y[where[1]]))
            keep(key, begin, parameters=parameters(net), **found)


def graph(data: Path) -> None:
    """Cora's papers, 140 labels; each network reads two steps of neighbourhood."""
    held = np.load(data / "graphs" / "cora.npz")
    n, d = held["features_shape"]
    z = torch.zeros(int(n), int(d))
    rows = np.repeat(np.arange(n), np.diff(held["features_indptr"]))
    z[rows, held["features_indices"]] = 1.0
    z = z / z.sum(1, keepdim=True).clamp(min=1)
    s, y = normalised_adjacency(held["edges"], int(n)), torch.from_numpy(held["labels"].astype(np.int64))
    train, val, test = (torch.from_numpy(held[part]) for part in ("train", "validation", "test"))

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map, self.drop = nn.Linear(int(d), 7), nn.Dropout(0.5)

        def forward(self, z: Tensor, s: Tensor) -> Tensor:
            return s @ (s @ self.map(self.drop(z)))

    class Relu(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.drop = nn.Linear(int(d), 32), nn.Linear(32, 7), nn.Dropout(0.5)

        def forward(self, z: Tensor, s: Tensor) -> Tensor:
            return s @ self.two(self.drop(F.relu(s @ self.one(self.drop(z)))))

    nets: dict[str, Callable[[], nn.Module]] = {"linear (SGC)": Linear, "relu (GCN)": Relu}
    for degree in (2, 3, 4):
        nets[f"polynomial filter, degree {degree}"] = lambda degree=degree: PolynomialGraphFilter(
            int(d), 7, degree, 32 // (degree if degree > 2 else 1)
        )
    for name, make in nets.items():
        for seed in SEEDS:
            key = f"graph|{name}|{seed}"
            if key in KEPT:
                continue
            begin = time.process_time()
            torch.manual_seed(seed)
            net = make()
            optimizer = torch.optim.Adam(net.parameters(), lr=0.01, weight_decay=5e-4 if "linear" not in name else 5e-5)
            best, chosen = -1.0, None
            for _ in range(200):
                net.train()
                optimizer.zero_grad()
                F.cross_entropy(net(z, s)[train], y[train]).backward()
                optimizer.step()
                net.eval()
                with torch.no_grad():
                    logits = net(z, s)
                accuracy = float((logits[val].argmax(1) == y[val]).double().mean())
                if accuracy > best:
                    best, chosen = accuracy, logits
            assert chosen is not None
            found = judged(chosen[test], y[test], (chosen[val], y[val]))
            keep(key, begin, parameters=parameters(net), **found)


def faces(data: Path) -> None:
    """Thirty people train an embedding; pairs of the ten others are judged by its cosine."""
    pictures = np.load(data / "images" / "orl_faces.npz")["images"]
    x = F.avg_pool2d(torch.from_numpy(pictures.reshape(400, 1, 112, 92)).float() / 127.5 - 1, 4)
    who = torch.arange(40).repeat_interleave(10)
    nets: dict[str, Callable[[], nn.Module]] = {
        "linear": lambda: MLP((1, 28, 23), 64, widths=()),
        "relu": lambda: PolynomialEmbedding((1, 28, 23), 64, activation=True),
        "polynomial": lambda: PolynomialEmbedding((1, 28, 23), 64),
    }
    for name, make in nets.items():
        for seed in SEEDS:
            key = f"faces|{name}|{seed}"
            if key in KEPT:
                continue
            begin = time.process_time()
            torch.manual_seed(seed)
            order = torch.randperm(40)
            known, others = order[:30], order[30:]
            own = torch.isin(who, known).nonzero()[:, 0]
            number = torch.zeros(40, dtype=torch.long)
            number[known] = torch.arange(30)
            net = nn.Sequential(make(), CosineHead(64, 30))
            loss = AngularMarginLoss(16, 0.3)

            def of(batch: Tensor, net: nn.Module = net, own: Tensor = own, number: Tensor = number) -> Tensor:
                flip = torch.rand(len(batch)) < 0.5
                some = torch.where(flip[:, None, None, None], x[own[batch]].flip(3), x[own[batch]])
                return loss(net(some), number[who[own[batch]]])  # noqa: B023

            descend(net, of, len(own), 60, 64, 2e-3)
            rest = torch.isin(who, others).nonzero()[:, 0]
            with torch.no_grad():
                e = F.normalize(net[0](x[rest]))
            one, two = torch.triu_indices(len(rest), len(rest), 1)
            cosine = (e[one] * e[two]).sum(1).numpy()
            same = (who[rest][one] == who[rest][two]).numpy()
            far, tar, _ = roc_curve(same, cosine)
            keep(
                key,
                begin,
                parameters=parameters(net[0]),
                auc=float(roc_auc_score(same, cosine)),
                tar=float(np.interp(0.01, far, tar)),
                pairs=len(same),
                roc=[np.interp(np.linspace(0, 0.1, 21), far, tar).round(4).tolist()],
            )


def frechet(one: np.ndarray, two: np.ndarray) -> float:
    """Return the Frechet distance of two Gaussians fitted to features."""
    a, b = np.cov(one.T), np.cov(two.T)
    root = np.real(sqrtm(a @ b))
    return float(((one.mean(0) - two.mean(0)) ** 2).sum() + np.trace(a + b - 2 * root))


def generation(data: Path) -> None:
    """Adversarial training with hinge losses against one discriminator of ReLUs; the classifier is frozen."""
    for name, folder in (("digits", None), ("mnist", data / "images" / "mnist")):
        made = load_data(name, 0, folder)
        x, y = made.train.x[:12000].float(), made.train.y[:12000]
        low, high = float(x.min()), float(x.max())
        x = 2 * (x - low) / (high - low) - 1
        test = 2 * (made.test.x[:5000].float() - low) / (high - low) - 1
        shape, size = tuple(x.shape[1:]), x[0].numel()
        torch.manual_seed(0)
        judge = nn.Sequential(
            nn.Flatten(), nn.Linear(size, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
        )
        descend(judge, lambda b: F.cross_entropy(judge(x[b]), y[b]), len(x), 10, 128, 2e-3)  # noqa: B023
        features = judge[:-1]

        def seen(images: Tensor, features: nn.Module = features) -> np.ndarray:
            with torch.no_grad():
                return features(images).double().numpy()

        class Relu(nn.Module):
            def __init__(self, size: int = size, shape: tuple[int, ...] = shape) -> None:
                super().__init__()
                self.net = nn.Sequential(
                    nn.Linear(32, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, size), nn.Tanh()
                )
                self.shape = shape

            def forward(self, z: Tensor) -> Tensor:
                return self.net(z).reshape(-1, *self.shape)

        nets: dict[str, Callable[[], nn.Module]] = {
            "affine": lambda shape=shape: PolynomialGenerator(32, shape, 0),
            "relu and tanh": Relu,
            "polynomials, degree 4, no activation": lambda shape=shape: PolynomialGenerator(32, shape, 2, 64),
            "injection, degree 4, no activation": lambda shape=shape: InjectionGenerator(32, shape),
        }
        for title, make in nets.items():
            for seed in SEEDS[:2]:
                key = f"generation|{name}|{title}|{seed}"
                if key in KEPT:
                    continue
                begin = time.process_time()
                torch.manual_seed(seed)
                net = make()
                critic = nn.Sequential(
                    nn.Flatten(), nn.utils.parametrizations.spectral_norm(nn.Linear(size, 256)), nn.LeakyReLU(0.2),
                    nn.utils.parametrizations.spectral_norm(nn.Linear(256, 128)), nn.LeakyReLU(0.2), nn.Linear(128, 1),
                )  # fmt: skip
                ways = [torch.optim.Adam(m.parameters(), lr=4e-4, betas=(0.5, 0.99)) for m in (net, critic)]
                for step in range(3000):
                    batch = torch.randint(len(x), (64,))
                    fake = net(torch.randn(64, 32))
                    ways[1].zero_grad()
                    (F.relu(1 - critic(x[batch])).mean() + F.relu(1 + critic(fake.detach())).mean()).backward()
                    ways[1].step()
                    ways[0].zero_grad()
                    (-critic(fake).mean()).backward()
                    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                    ways[0].step()
                    if step == 2000:
                        for way in ways:
                            way.param_groups[0]["lr"] /= 4
                net.eval()
                with torch.no_grad():
                    fake = net(torch.randn(5000, 32)).clamp(-1, 1)
                spread = seen(x[:5000])
                distance, floor = frechet(seen(fake), seen(test)), frechet(spread, seen(test))
                keep(key, begin, parameters=parameters(net), frechet=distance, floor=floor)
                if seed == 0:
                    sheet(fake[:16, 0], f"pinets_{name}_{title.split(',')[0].replace(' ', '_')}.png")


def sheet(images: Tensor, name: str) -> None:
    """Write sixteen pictures as one."""
    n, h, w = images.shape
    grid = ((images + 1) * 127.5).clamp(0, 255).reshape(2, n // 2, h, w).permute(0, 2, 1, 3).reshape(2 * h, n // 2 * w)
    picture = Image.fromarray(grid.byte().numpy())
    scale = max(1, 256 // picture.width)
    with whole_file(HERE / name) as temporary:
        picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(temporary, "PNG")


def mesh(data: Path) -> None:
    """Sixteen numbers for a horse: error of held-out frames, by degree, and of as many principal components."""
    held = np.load(data / "meshes" / "horse.npz")
    x, faces_ = held["vertices"].astype(np.float64), held["faces"]
    x = x - x.mean(1, keepdims=True)
    size = float(np.linalg.norm(np.ptp(x.reshape(-1, 3), axis=0)))
    test = np.zeros(len(x), dtype=bool)
    test[3::4] = True
    middle = x[~test].mean(0)
    scale = (x[~test] - middle).std()
    z = torch.from_numpy((x - middle) / scale).float()

    def error(y: np.ndarray) -> float:
        return float(100 * np.linalg.norm(y * scale + middle - x[test], axis=2).mean() / size)

    latent = 8
    if "mesh|PCA|0" not in KEPT:
        begin, pca = time.process_time(), PCA(latent).fit(z[~test].flatten(1).numpy())
        y = pca.inverse_transform(pca.transform(z[test].flatten(1).numpy())).reshape(-1, *x.shape[1:])
        keep("mesh|PCA|0", begin, parameters=int((latent + 1) * x[0].size), error=error(y))
    for degree in (1, 2, 3, 4):
        for seed in SEEDS:
            key = f"mesh|degree {degree}|{seed}"
            if key in KEPT:
                continue
            begin = time.process_time()
            torch.manual_seed(seed)
            net = MeshAutoencoder(middle / scale, faces_, latent, degree)
            own = z[~test]
            descend(net, lambda b, net=net, own=own: (net(own[b]) - own[b]).abs().mean(), len(own), 150, 8, 3e-3)
            with torch.no_grad():
                y = net(z[test]).double().numpy()
            keep(key, begin, parameters=parameters(net), error=error(y))


TABLES = {
    "audio": ("Spoken digits, speakers held out", ("accuracy", "nll", "ece", "floor", "temperature"),
              "Spectrograms 32 x 32 of 1,500 recordings of three speakers; tested on two others; T: on a sixth."),
    "graph": ("Cora", ("accuracy", "nll", "ece", "floor", "temperature"),
              "140 labelled papers, the standard 500 and 1,000 for validation and test; 200 steps, the best kept."),
    "faces": ("Faces of people who were never trained on", ("auc", "tar"),
              "ORL, 30 people train, 4,950 pairs of the ten others: area under the ROC, and the share of true pairs "
              "accepted where 1% of false ones are."),
    "generation": ("Generation", ("frechet", "floor"),
                   "Frechet distance of 5,000 samples to the test part, in the features of a frozen classifier; floor: "
                   "that of training pictures. 3,000 steps against the same critic; two seeds, pictures of the first."),
    "mesh": ("A horse in eight numbers", ("error",),
             "Mean distance of a vertex from where it should be, in % of the horse's diagonal, on every fourth frame, "
             "held out. Degree 1 is affine."),
}  # fmt: skip
PERCENT = {"accuracy", "ece", "floor", "auc", "tar"}


def page() -> list[str]:
    """Write the tables."""
    parts = [
        "# Polynomial networks on other data",
        "Beside a linear (affine) network and one of ReLUs. Mean and standard deviation over seeds (other\n"
        "initialisation; faces: other people too), CPU seconds of one core for one seed.",
    ]
    for part, (title, columns, words) in TABLES.items():
        found: dict[str, list[dict[str, Any]]] = {}
        for key, value in KEPT.items():
            if key.startswith(part + "|"):
                found.setdefault(" · ".join(key.split("|")[1:-1]), []).append(value)
        if not found:
            continue
        rows = []
        for name, results in found.items():
            cells = []
            for column in columns:
                scale = 100 if column in PERCENT and part != "generation" else 1
                values = scale * np.array([result[column] for result in results])
                spread = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
                cells.append(f"{values.mean():.2f}{spread}")
            seconds = f"{harness.mean(results, 'cpu'):.0f}"
            rows.append([name, f"{results[0]['parameters']:,}", len(results), *cells, seconds])
        command = f"Command: `python results/pinets_data.py {part} --data ../shared/data`."
        heads = ("network", "parameters", "seeds", *columns, "s")
        parts.append(section(f"## {title}", [words, command], heads, rows))
        if part == "generation":
            parts += [f"![{p.stem}]({p.name})" for p in sorted(HERE.glob("pinets_*_*.png"))]
    reading = HERE / "pinets_data_reading.md"
    if reading.exists():
        parts.append(reading.read_text(encoding="utf-8").rstrip())
    return parts


PARTS = {"audio": audio, "graph": graph, "faces": faces, "generation": generation, "mesh": mesh}


def main() -> None:
    """Run one part, write the page."""
    parser = harness.parser(__doc__)
    parser.add_argument("part", choices=(*PARTS, "page"))
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.part in PARTS:
        if arguments.data is None:
            parser.error("--data is needed")
        PARTS[arguments.part](arguments.data)
    harness.write_page("pinets_data.md", page())


if __name__ == "__main__":
    main()
