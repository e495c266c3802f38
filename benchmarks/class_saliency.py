"""Bottom-up and class saliency side by side, and the deletion curve of each.

python -m benchmarks.class_saliency OUT.png [--pictures N] [--epochs N]

A small network learns which digit (scikit-learn's, of 8x8 pixels) lies among colourful distractors.
OUT.png shows pictures of a test set, their maps by `itti1998`, by the class gradient and by its
SmoothGrad average. Printed is the mean probability of the digit's class while the most salient
pixels are replaced by the background, and the area under that curve: the lower, the more of what
the network uses is found. Needs torch and scikit-learn.
"""

from __future__ import annotations

import argparse
import sys
import time

import cv2
import numpy as np

import ittisal

try:
    import torch
    from sklearn.datasets import load_digits
except ImportError as error:
    raise SystemExit(
        f"benchmarks.class_saliency cannot be run ({error}); pip install torch scikit-learn"
    ) from error

SIDE, DIGIT, ENLARGED = 64, 24, 8  # px of a picture and its digit; factor for itti1998
BACKGROUND, NOISE = 0.5, 0.03
TRAINING, BATCH, SEED = 4000, 64, 0
STEPS = np.linspace(0, 1, 51)  # shares of the pixels that are replaced
SHOWN, WIDTH, GAP, CAPTION, FONT = 4, 128, 6, 36, cv2.FONT_HERSHEY_SIMPLEX


# --- pictures ------------------------------------------------------------------------------------


def pictures(digits: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """RGB pictures (N, 64, 64, 3) of a grey digit and three distractors; the digits' masks."""
    found = np.full((len(digits), SIDE, SIDE, 3), BACKGROUND, np.float32)
    masks = np.zeros((len(digits), SIDE, SIDE), bool)
    for picture, mask, digit in zip(found, masks, digits, strict=True):
        quarters = rng.permutation(4)
        for quarter in quarters[1:]:
            distract(picture, origin(quarter, rng), rng)
        y, x = origin(quarters[0], rng)
        ink = cv2.resize(digit, (DIGIT, DIGIT), interpolation=cv2.INTER_CUBIC).clip(0, 1)
        window = np.s_[y : y + DIGIT, x : x + DIGIT]
        picture[window] += 0.3 * rng.choice([-1, 1]) * ink[..., None]
        mask[window] = True
    found += rng.normal(0, NOISE, found.shape).astype(np.float32)
    return found.clip(0, 1), masks


def origin(quarter: int, rng: np.random.Generator) -> tuple[int, int]:
    """A place in a quarter of the picture where a digit fits."""
    y, x = rng.integers(0, SIDE // 2 - DIGIT + 1, 2) + SIDE // 2 * np.array(divmod(quarter, 2))
    return int(y), int(x)


def distract(picture: np.ndarray, place: tuple[int, int], rng: np.random.Generator) -> None:
    """Draw a disc, a bar or a ring in a saturated colour."""
    y, x = (n + DIGIT // 2 for n in place)
    colour = np.float32([0.05, 0.05, 0.05])
    colour[rng.choice(3, rng.integers(1, 3), replace=False)] = 1
    ink, size = colour.tolist(), int(rng.integers(6, 11))
    kind = rng.integers(3)
    if kind == 0:
        cv2.circle(picture, (x, y), size, ink, -1, cv2.LINE_AA)
    elif kind == 1:
        cv2.circle(picture, (x, y), size, ink, 3, cv2.LINE_AA)
    else:
        angle = rng.uniform(0, np.pi)
        dx, dy = round(size * np.cos(angle)), round(size * np.sin(angle))
        cv2.line(picture, (x - dx, y - dy), (x + dx, y + dy), ink, 4, cv2.LINE_AA)


# --- the network ---------------------------------------------------------------------------------


def tensor(found: np.ndarray) -> torch.Tensor:
    """Pictures as the network takes them: (N, 3, 64, 64), the background at 0."""
    return torch.from_numpy(found).permute(0, 3, 1, 2) - BACKGROUND  # in channels-last layout


def train(found: np.ndarray, labels: np.ndarray, epochs: int) -> torch.nn.Module:
    """A small convolutional network that tells the digits."""
    nn = torch.nn
    torch.manual_seed(SEED)
    network = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, 10)),
    ).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 1e-2, total_steps=epochs * -(-len(found) // BATCH)
    )
    inputs, targets = tensor(found), torch.from_numpy(labels)
    for _ in range(epochs):
        for chosen in torch.randperm(len(inputs)).split(BATCH):
            loss = nn.functional.cross_entropy(network(inputs[chosen]), targets[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.eval()


# --- maps and their deletion curves --------------------------------------------------------------


def bottom_up(found: np.ndarray) -> np.ndarray:
    """Maps of `itti1998` of the pictures enlarged, at the pictures' size."""
    maps = []
    for picture in found:
        large = cv2.resize(
            picture, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC
        ).clip(0, 1)
        saliency = ittisal.saliency_map(large)
        maps.append(cv2.resize(saliency, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return np.stack(maps)


def deletion(
    network: torch.nn.Module, inputs: torch.Tensor, labels: torch.Tensor, maps: np.ndarray
) -> np.ndarray:
    """Mean probability of the class after each share of pixels, the highest first, is set to 0."""
    order = np.argsort(-maps.reshape(len(maps), -1), axis=1, kind="stable")
    rank = torch.from_numpy(np.argsort(order, axis=1).reshape(maps.shape))
    curve = []
    with torch.no_grad():
        for share in STEPS:
            kept = rank >= round(share * rank[0].numel())
            scores = network(inputs * kept[:, None])
            curve.append(float(scores.softmax(1).gather(1, labels[:, None]).mean()))
    return np.array(curve)


def area(curve: np.ndarray) -> float:
    """Under a curve over the share of pixels from 0 to 1."""
    return float(((curve[1:] + curve[:-1]) / 2 * np.diff(STEPS)).sum())


# --- the picture ---------------------------------------------------------------------------------


def heat(saliency: np.ndarray) -> np.ndarray:
    """A map in false colours, over its maximum."""
    return cv2.applyColorMap(
        np.uint8(np.rint(255 * saliency / max(saliency.max(), 1e-12))), cv2.COLORMAP_INFERNO
    )


def column(captions: tuple[str, str], tiles: list[np.ndarray]) -> np.ndarray:
    """Tiles under each other, below two lines of text."""
    strip = np.full((CAPTION, WIDTH, 3), 255, np.uint8)
    for caption, y in zip(captions, (13, 29), strict=True):
        cv2.putText(strip, caption, (2, y), FONT, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
    gap = np.full((GAP, WIDTH, 3), 255, np.uint8)
    size = (WIDTH, WIDTH)
    large = [cv2.resize(tile, size, interpolation=cv2.INTER_NEAREST) for tile in tiles]
    return np.vstack([strip, *(part for tile in large for part in (tile, gap))])


def sheet(found: np.ndarray, maps: dict[str, np.ndarray], areas: dict[str, float]) -> np.ndarray:
    """Pictures, and beside them their maps by each method."""
    columns = [column(("picture", ""), [np.uint8(255 * picture[..., ::-1]) for picture in found])]
    for name, drawn in maps.items():
        captions = (name, f"area {areas[name]:.3f}")
        columns.append(column(captions, [heat(saliency) for saliency in drawn]))
    gap = np.full((len(columns[0]), GAP, 3), 255, np.uint8)
    return np.hstack([part for each in columns for part in (each, gap)][:-1])


# --- the command ---------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """Train, map, print and draw; 1 if the picture cannot be written."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.class_saliency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out")
    parser.add_argument("--pictures", type=int, default=100, help="of the test set (100)")
    parser.add_argument("--epochs", type=int, default=6, help="of training (6)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # batches are small, and figures do not depend on the machine's cores
    rng = np.random.default_rng(SEED)
    digits, labels = load_digits(return_X_y=True)
    digits = (digits / 16).astype(np.float32).reshape(-1, 8, 8)
    order = rng.permutation(len(digits))
    tested, learned = np.split(order, [options.pictures])

    start = time.perf_counter()
    drawn = rng.choice(learned, TRAINING)
    network = train(pictures(digits[drawn], rng)[0], labels[drawn], options.epochs)
    found, masks = pictures(digits[tested], rng)
    inputs, targets = tensor(found), torch.from_numpy(labels[tested])
    with torch.no_grad():
        accuracy = float((network(inputs).argmax(1) == targets).float().mean())
    print(
        f"trained in {time.perf_counter() - start:.0f} s; {accuracy:.1%} of the test set right\n",
        flush=True,
    )

    maps = {
        "itti1998": bottom_up(found),
        "class gradient": ittisal.class_saliency(network, inputs, targets).numpy(),
        "SmoothGrad": ittisal.class_saliency(network, inputs, targets, samples=50).numpy(),
        "random order": rng.random(found.shape[:3]),
    }
    curves = {name: deletion(network, inputs, targets, each) for name, each in maps.items()}
    areas = {name: area(curve) for name, curve in curves.items()}
    shares = (0.02, 0.1, 0.2, 0.5)
    print(f"| | area | {' | '.join(f'{share:.0%} removed' for share in shares)} | on the digit |")
    print("|---|---|" + "---|" * (len(shares) + 1))
    for name, curve in curves.items():
        at = " | ".join(f"{np.interp(share, STEPS, curve):.2f}" for share in shares)
        inside = (maps[name] * masks).sum() / maps[name].sum()
        print(f"| {name} | {areas[name]:.3f} | {at} | {inside:.0%} |")
    maps.pop("random order")
    shown = np.unique(labels[tested], return_index=True)[1][:SHOWN]  # one of each digit
    picked = {name: each[shown] for name, each in maps.items()}
    picture = sheet(found[shown], picked, areas)
    if not cv2.imwrite(options.out, picture, [cv2.IMWRITE_PNG_COMPRESSION, 9]):
        print(f"{options.out} cannot be written", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
