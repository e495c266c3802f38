"""Class-gradient maps of PyTorch networks; skipped without PyTorch, which `test` does not bring."""

from __future__ import annotations

import contextlib
import re

import cv2
import numpy as np
import pytest
from test_cli import ROOT, run, run_here, save

from ittisal import class_saliency

torch = pytest.importorskip("torch", reason="PyTorch is not installed; pip install '.[torch]'")
nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

SHAPE = (3, 12, 10)


def small(channels=3, classes=5):
    """A network that takes any size, with everything that has a mode; float32, in training mode."""
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.Softplus(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, classes),
    )
    network[1].running_mean.uniform_(-0.1, 0.1)
    return network


def images(count=2, shape=SHAPE, dtype=torch.float32):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(2), dtype=dtype)


# --- the gradient ------------------------------------------------------------------------------


def test_a_linear_network():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 10, 4))
    weights = network[1].weight.detach().reshape(4, *SHAPE)
    for target in range(4):
        wanted = weights[target].abs().amax(0)
        assert torch.equal(class_saliency(network, images(1)[0], target), wanted)
    assert torch.equal(class_saliency(network, images(), [3, 1]), weights[[3, 1]].abs().amax(1))


def test_a_network_with_one_hidden_layer():
    torch.manual_seed(3)
    inner, outer = nn.Linear(360, 50).double(), nn.Linear(50, 4).double()
    network = nn.Sequential(nn.Flatten(), inner, nn.ReLU(inplace=True), outer)
    image = images(1, dtype=torch.float64)[0]
    active = inner(image.flatten()) > 0
    assert 0 < active.sum() < 50
    gradient = (outer.weight[2] * active) @ inner.weight
    torch.testing.assert_close(
        class_saliency(network, image, 2), gradient.detach().reshape(SHAPE).abs().amax(0)
    )


def test_finite_differences():
    network, step = small().double().eval(), 1e-5
    image = images(1, dtype=torch.float64)[0]
    steps = step * torch.eye(image.numel(), dtype=torch.float64).reshape(-1, *SHAPE)
    with torch.no_grad():
        rise = network(image + steps)[:, 3] - network(image - steps)[:, 3]
    wanted = (rise / (2 * step)).reshape(SHAPE).abs().amax(0)
    torch.testing.assert_close(class_saliency(network, image, 3), wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("samples", [0, 3])
def test_a_batch_is_its_images(samples):
    """Also of a network in training mode, whose batch normalisation would mix them."""
    network, batch = small(), images(3)
    maps = class_saliency(network, batch, samples=samples)
    chosen = network.eval()(batch).argmax(1)
    assert maps.shape == (3, 12, 10)
    for target in (None, chosen, chosen.numpy(), chosen.tolist()):
        torch.testing.assert_close(class_saliency(network, batch, target, samples=samples), maps)
    for image, target, saliency in zip(batch, chosen, maps, strict=True):
        torch.testing.assert_close(
            class_saliency(network, image, int(target), samples=samples), saliency
        )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_type_shape_and_grey(dtype):
    network = small(channels=1).to(dtype)
    saliency = class_saliency(network, images(1, (1, 9, 11), dtype)[0], samples=2)
    assert saliency.shape == (9, 11) and saliency.dtype == dtype
    assert not saliency.requires_grad and saliency.min() >= 0


def test_a_function_and_scripted_and_exported_networks():
    network, batch = small().eval(), images()
    wanted = class_saliency(network, batch)
    scripted = torch.jit.script(network)
    size = {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    exported = torch.export.export(network, (batch,), dynamic_shapes=(size,)).module()
    models = [
        *(lambda x: {"logits": network(x)}["logits"], scripted, torch.jit.freeze(scripted)),
        *(torch.jit.trace(network, batch), exported),
    ]
    for model in models:
        torch.testing.assert_close(class_saliency(model, batch), wanted)


# --- SmoothGrad --------------------------------------------------------------------------------


def test_samples_without_noise_are_the_gradient():
    network, batch = small(), images()
    torch.testing.assert_close(
        class_saliency(network, batch, samples=4, noise=0), class_saliency(network, batch)
    )


def test_the_seed_is_all_the_randomness():
    network, batch = small(), images()
    before = torch.get_rng_state()
    first = class_saliency(network, batch, samples=3, seed=5)
    torch.manual_seed(9)
    assert torch.equal(first, class_saliency(network, batch, samples=3, seed=5))
    assert not torch.equal(first, class_saliency(network, batch, samples=3, seed=6))
    torch.set_rng_state(before)
    class_saliency(network, batch, samples=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_signed_gradients_are_averaged():
    """Of a sum of squares the gradient is 2 x: noise cancels, unlike in absolute values."""

    def squares(x):
        return (x**2).flatten(1).sum(1, keepdim=True)

    image = torch.zeros(1, 40, 40, dtype=torch.float64)
    image[0, 0, 0], image[0, 0, 1] = -1, 4  # range 5
    saliency = class_saliency(squares, image, 0, samples=400, noise=0.2)  # deviation 1
    assert saliency[1:].std() == pytest.approx(2 / 20 * (1 - 2 / np.pi) ** 0.5, rel=0.1)
    assert float(saliency[0, 1]) == pytest.approx(8, abs=0.5)


# --- what is left as it was --------------------------------------------------------------------


class Fails(nn.Module):
    """A layer that raises, whose mode cannot be switched by `train`."""

    def train(self, mode=True):
        raise NotImplementedError

    def forward(self, x):
        raise RuntimeError("layer fails")


def state(network):
    """All that a call must not change."""
    return (
        {name: module.training for name, module in network.named_modules()},
        {name: (p.requires_grad, p.grad) for name, p in network.named_parameters()},
        {name: tensor.clone() for name, tensor in network.state_dict().items()},
        (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        (torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark),
        torch.backends.cudnn.deterministic,
    )


@pytest.mark.parametrize("mode", [contextlib.nullcontext, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("samples", [0, 2])
@pytest.mark.parametrize("fails", ["", "forward", "target"])
def test_everything_is_left_as_it_was(mode, samples, fails):
    network = small()
    network[3].eval()
    network[0].weight.requires_grad_(False)
    network[4].weight.grad = torch.ones_like(network[4].weight)
    if fails == "forward":
        network.append(Fails())
    image = images(1)[0].requires_grad_()
    image.grad = torch.full_like(image, 7)
    values = image.detach().clone()
    with mode():
        before = state(network)
        if fails:
            with pytest.raises((RuntimeError, ValueError), match=r"layer fails|target 5 is not"):
                class_saliency(network, image, 5, samples=samples)
        else:
            class_saliency(network, image, samples=samples)
        after = state(network)
    for old, new in zip(before, after, strict=True):
        assert str(old) == str(new)
    assert torch.equal(image, values) and image.requires_grad and image.grad.eq(7).all()


def test_inference_mode():
    network = small()
    with torch.inference_mode():
        batch = images()
        saliency = class_saliency(network, batch)
    assert batch.is_inference()
    assert torch.equal(saliency, class_saliency(network, images()))


def test_a_network_that_changes_its_input():
    network = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(360, 2))
    image = images(1)[0] - 0.5
    values = image.clone()
    assert (class_saliency(network, image, 1) > 0).any()
    assert torch.equal(image, values)


# --- refused -----------------------------------------------------------------------------------


def inference_network():
    with torch.inference_mode():
        return nn.Sequential(nn.Flatten(), nn.Linear(360, 2))


IMAGE = images(1)[0]
BAD = [  # model, image, options, error, what it says
    ({"weight": 1}, IMAGE, {}, TypeError, "model is dict; give a torch.nn.Module"),
    (small(), np.zeros(SHAPE), {}, TypeError, "image is ndarray; give a torch.Tensor"),
    (small(), IMAGE.byte(), {}, TypeError, "torch.uint8; give floats"),
    (small(), IMAGE[0], {}, ValueError, r"shape \(12, 10\); give \(C, H, W\)"),
    (small(), IMAGE[None][:0], {}, ValueError, "none of them 0"),
    (small(), IMAGE / 0, {}, ValueError, "image has NaN or infinite"),
    (small().to("meta"), IMAGE, {}, ValueError, "image is on cpu, the model on meta"),
    (inference_network(), IMAGE, {}, ValueError, r"made under torch.inference_mode\(\)"),
    (nn.Identity(), IMAGE, {}, ValueError, r"returned shape \(1, 3, 12, 10\)"),
    (lambda x: {"logits": x}, IMAGE, {}, ValueError, "returned dict; .* lambda"),
    (lambda x: x.sum((1, 2, 3)), IMAGE, {}, ValueError, r"returned shape \(1,\)"),
    (lambda x: x.mean((2, 3))[:0], IMAGE, {}, ValueError, r"returned shape \(0, 3\)"),
    (lambda x: x.mean((2, 3)).long(), IMAGE, {}, ValueError, "returned torch.int64"),
    (lambda x: x.mean((2, 3)).detach(), IMAGE, {}, ValueError, "do not depend on the image"),
    (lambda x: torch.ones(1, 2, requires_grad=True), IMAGE, {}, ValueError, "do not depend"),
    (lambda x: (x * 0).sqrt().mean((2, 3)), IMAGE, {}, ValueError, "gradient has NaN"),
    (small(), IMAGE, {"target": 5}, ValueError, "target 5 is not a class: .* 5, 0 to 4"),
    (small(), IMAGE, {"target": -1}, ValueError, "target -1 is not"),
    (small(), IMAGE, {"target": [1, 2]}, ValueError, "target has 2 classes for 1 images"),
    (small(), IMAGE, {"target": 1.0}, TypeError, "target=1.0 must be a whole number"),
    (small(), IMAGE, {"target": True}, TypeError, "target=True"),
    (small(), IMAGE, {"target": "cat"}, TypeError, "target='cat'"),
    (small(), IMAGE, {"samples": -1}, ValueError, "samples=-1 must be a whole number"),
    (small(), IMAGE, {"samples": 1.5}, ValueError, "samples=1.5"),
    (small(), IMAGE, {"noise": float("nan")}, ValueError, "noise=nan must be a finite"),
    (small(), IMAGE, {"noise": "much"}, ValueError, "noise='much'"),
    (small(), IMAGE, {"seed": None}, ValueError, "seed=None must be"),
]


@pytest.mark.parametrize(("model", "image", "options", "error", "message"), BAD)
def test_refused(model, image, options, error, message):
    with pytest.raises(error, match=message):
        class_saliency(model, image, **options)


# --- ittisal map --class-model -----------------------------------------------------------------

MEAN, STD = np.float32([0.4, 0.5, 0.6]), np.float32([0.2, 0.3, 0.4])
NORMALISED = ("--class-mean", "0.4,0.5,0.6", "--class-std", "0.2,0.3,0.4")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Networks and pictures: any size as TorchScript, 48x32 as .pt2, and a grey one."""
    folder = tmp_path_factory.mktemp("networks")
    network = small().eval()
    with pytest.warns(DeprecationWarning):
        torch.jit.script(network).save(folder / "any.ts")
        torch.jit.script(small(channels=1).eval()).save(folder / "grey.pt")
    for name, shape in (("fixed", (1, 3, 32, 48)), ("pair", (2, 3, 32, 48)), ("five", (5,))):
        program = torch.export.export(
            network if len(shape) == 4 else nn.Linear(5, 2), (torch.zeros(shape),)
        )
        torch.export.save(program, folder / f"{name}.pt2")
    torch.save(network.state_dict(), folder / "state.pt")
    (folder / "junk.pt2").write_text("junk")
    (folder / "network.onnx").write_text("junk")
    picture = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)
    save(folder / "a.png", picture)
    save(folder / "b.png", picture[::-1, :50])
    save(folder / "grey.png", picture[..., 0])
    return folder


def wanted_map(picture, size, target):
    """The map of a BGR picture, preprocessed here."""
    rgb = np.ascontiguousarray(picture[..., ::-1], np.float32) / 255
    if size != rgb.shape[:2]:
        rgb = cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_AREA)
    image = torch.from_numpy((rgb - MEAN) / STD).permute(2, 0, 1)
    network = small().eval()
    return class_saliency(network, image, target).numpy(), network(image[None])[0].detach()


@pytest.mark.parametrize(
    ("network", "options", "size"),
    [
        ("any.ts", (), (40, 60)),
        ("any.ts", ("--class-size", "30x20"), (20, 30)),
        ("fixed.pt2", (), (32, 48)),
        ("fixed.pt2", ("--class-size", "48x32", "--threads", "1"), (32, 48)),
    ],
)
@pytest.mark.parametrize("target", [None, 3])
def test_a_class_map_on_the_command_line(files, tmp_path, network, options, size, target):
    given = ("--class-model", files / network, *options, *NORMALISED)
    given += ("--class", target) if target is not None else ()
    ran = run_here("map", files / "a.png", "--raw", "--json", "-o", tmp_path, *given, cwd=tmp_path)
    assert ran.status == 0, ran.err
    picture = cv2.imread(str(files / "a.png"))
    wanted, scores = wanted_map(picture, size, target)
    raw = np.load(tmp_path / "a.saliency.npy")
    np.testing.assert_allclose(raw, wanted, rtol=1e-4, atol=1e-7)
    number = int(scores.argmax()) if target is None else target
    (row,) = ran.rows
    assert (row["backend"], row["width"], row["height"]) == ("torch", 60, 40)
    assert (row["class"], row["score"]) == (number, pytest.approx(float(scores[number]), abs=1e-5))
    y, x = np.unravel_index(wanted.argmax(), wanted.shape)
    middle = ((y + 0.5) * 40 / size[0] - 0.5, (x + 0.5) * 60 / size[1] - 0.5)
    assert abs(row["peak"]["y"] - middle[0]) < 1 and abs(row["peak"]["x"] - middle[1]) < 1


def test_class_maps_are_written_as_others_are(files, tmp_path):
    """At the picture's size; a picture that cannot be read does not end the batch."""
    ran = run(
        *("map", files / "a.png", files / "junk.pt2", files / "b.png", files / "grey.png"),
        *("--class-model", files / "fixed.pt2", "--class", 1, "--overlay", "-o", tmp_path),
        cwd=tmp_path,
    )
    assert ran.status == 1
    assert [line for line in ran.err.splitlines() if "junk.pt2" not in line] == [
        "ittisal map: 1 of 4 inputs failed"
    ]
    for name, shape in (("a", (40, 60)), ("b", (40, 50)), ("grey", (40, 60))):
        saliency = cv2.imread(str(tmp_path / f"{name}.saliency.png"), cv2.IMREAD_UNCHANGED)
        assert saliency.shape == shape and saliency.max() > 150
        assert cv2.imread(str(tmp_path / f"{name}.overlay.png")).shape == (*shape, 3)


def test_scripted_networks_in_a_process_of_their_own(files, tmp_path):
    given = ("--class-model", files / "grey.pt", "--class-mean", "0", "--size", "map")
    ran = run("map", files / "a.png", "-o", tmp_path, *given, "--format", "npy", cwd=tmp_path)
    assert (ran.status, ran.err) == (0, "")
    saliency = np.load(tmp_path / "a.saliency.npy")
    assert saliency.shape == (40, 60) and saliency.max() == 1


@pytest.mark.parametrize(
    ("network", "options", "status", "message"),
    [
        ("absent.pt2", (), 2, "absent.pt2: No such file or directory"),
        ("junk.pt2", (), 2, r"does not load it \(.*\); write it with torch.export.save"),
        ("state.pt", (), 2, r"does not load it \(.*\); write it with torch.jit.save"),
        ("network.onnx", (), 2, "must be a .pt2 of torch.export.save, or TorchScript"),
        ("pair.pt2", (), 2, r"takes \(2, 3, 32, 48\); export it for one picture"),
        ("five.pt2", (), 2, r"takes \(5,\); export it for one picture"),
        ("fixed.pt2", ("--class-size", "9x9"), 2, "was exported for 48x32; leave --class-size out"),
        ("fixed.pt2", ("--class-mean", "0.5"), 2, "must have 3 numbers each"),
        ("any.ts", ("--class-std", "0"), 2, "one or three numbers above 0"),
        ("any.ts", ("--class-mean", "1,2"), 2, "one or three numbers, as in"),
        ("any.ts", ("--channels",), 2, "leave --channels out"),
        ("any.ts", ("--preset", "gaze"), 2, "leave --preset, --config and --set out"),
        ("any.ts", ("--levels", "0:9"), 2, "leave --levels out"),
        ("any.ts", ("--backend", "cpu"), 2, "leave --backend out"),
        ("any.ts", ("--class", "-1"), 2, "'-1' must be a whole number"),
        ("any.ts", ("--class", "5"), 1, "a.png: target 5 is not a class: .* 0 to 4"),
        ("any.ts", ("--class-size", "2x2"), 1, r"fails on an input of shape \(1, 3, 2, 2\): "),
        ("grey.pt", (), 1, r"fails on an input of shape \(1, 3, 40, 60\): .*--class-mean"),
        (None, ("--class", "1"), 2, "give --class-model FILE"),
    ],
)
def test_errors_on_the_command_line(files, tmp_path, network, options, status, message):
    given = ("--class-model", files / network) if network else ()
    ran = run_here("map", files / "a.png", "-o", tmp_path, *given, *options, cwd=tmp_path)
    assert ran.status == status
    assert ran.err.startswith("ittisal map: ") and ran.err.count("\n") == 1, ran.err
    assert re.search(message, ran.err), ran.err
    assert not list(tmp_path.iterdir())


# --- the benchmark -----------------------------------------------------------------------------


def test_the_benchmark(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import class_saliency as benchmark

    def brightness(inputs):
        """Two classes: the probability of the first rises with the sum."""
        total = inputs.sum((1, 2, 3))
        return torch.stack([total, -total], 1)

    inputs = torch.zeros(1, 3, 64, 64)
    inputs[0, :, :32] = 1 / 100
    best, worst = (
        benchmark.deletion(brightness, inputs, torch.tensor([0]), sign * inputs.numpy()[:, 0])
        for sign in (1, -1)
    )
    assert best[0] == worst[0] > 0.99 and best[-1] == worst[-1] == 0.5
    assert best[25] == 0.5 and worst[25] == worst[0]  # half of the pixels
    assert 0.5 < benchmark.area(best) < 0.75 < benchmark.area(worst)
    monkeypatch.setattr(benchmark, "TRAINING", 64)
    assert benchmark.main([str(tmp_path / "a.png"), "--pictures", "8", "--epochs", "1"]) == 0
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] == 4 * 128 + 3 * 6
    rows = [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()]
    assert {"| itti1998", "| class gradient", "| SmoothGrad", "| random order"} <= set(rows)
    assert benchmark.main([str(tmp_path / "no" / "a.png"), "--pictures", "4", "--epochs", "1"]) == 1
