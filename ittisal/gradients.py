"""Class-gradient maps of a user's own PyTorch network, after Simonyan, Vedaldi & Zisserman (2014).

PyTorch is imported at the first call.
"""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Callable, Iterator
from typing import Any


def class_saliency(
    model: Callable[[Any], Any],
    image: Any,
    target: Any = None,
    *,
    samples: int = 0,
    noise: float = 0.15,
    seed: int = 0,
) -> Any:
    """Class-gradient map: how much each pixel of an image changes the score of a class.

    The absolute gradient of the class's score with respect to the image, maximum over the image's
    channels. The score is the network's output as it is: return logits, not probabilities, since
    the gradient of a softmax also shows what lowers the scores of other classes.

    Parameters
    ----------
    model : torch.nn.Module, or another callable
        Takes float tensors of shape (N, C, H, W) and returns scores of shape (N, classes). Scripted
        and exported modules too. A module is evaluated in eval mode (no dropout, running statistics
        of batch normalisation), a plain function in the mode that its networks are in.
    image : torch.Tensor of shape (C, H, W) or (N, C, H, W)
        Float, on the model's device, preprocessed (size, range, mean, order of channels) as the
        network was trained: nothing is changed here.
    target : int, or one per image, optional
        Number of the class, from 0. By default the class with the highest score in each image.
    samples : int
        SmoothGrad: the mean over so many noisy copies of the image of the gradient, with its sign;
        its absolute value is taken after the mean. Copies are processed one after the other. 0 is
        the gradient at the image itself.
    noise : float
        Standard deviation of the Gaussian noise, as a fraction of each image's range (maximum
        minus minimum over its channels). Smilkov et al. advise 0.1 to 0.2, and 50 samples.
    seed : int
        Of the noise. It is drawn on the CPU, the same for each image of a batch, and PyTorch's
        global random state is neither used nor changed.

    Returns
    -------
    torch.Tensor of shape (H, W) or (N, H, W)
        Not negative, of the image's dtype, on its device, detached. Not scaled: maps of several
        images are comparable as gradients are.

    Raises
    ------
    ImportError
        PyTorch is not installed.
    TypeError, ValueError
        Not a model, image, class or option that this takes, scores of another shape, scores that do
        not depend on the image by differentiable operations, or a gradient that is not finite.

    Notes
    -----
    The modes of all submodules, all `requires_grad` and `.grad`, the image and the gradient mode
    are left as they were, also after errors. Works under `torch.no_grad()` and
    `torch.inference_mode()`.

    K. Simonyan, A. Vedaldi, A. Zisserman, "Deep inside convolutional networks: visualising image
    classification models and saliency maps", ICLR workshop 2014, arXiv:1312.6034, section 3.
    D. Smilkov, N. Thorat, B. Kim, F. Viégas, M. Wattenberg, "SmoothGrad: removing noise by adding
    noise", arXiv:1706.03825, 2017.

    Examples
    --------
    >>> import torch, ittisal
    >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 4 * 4, 10))
    >>> image = torch.zeros(3, 4, 4)
    >>> saliency = ittisal.class_saliency(network, image, target=2)
    >>> weights = network[1].weight[2].reshape(3, 4, 4)
    >>> saliency.shape, torch.equal(saliency, weights.abs().amax(0))
    (torch.Size([4, 4]), True)
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"class_saliency needs PyTorch, which cannot be imported ({error}); "
            "pip install 'ittisal[torch]'"
        ) from error
    _check_whole("samples", samples)
    _check_whole("seed", seed)
    if not isinstance(noise, numbers.Real) or not 0 <= noise < math.inf:
        raise ValueError(f"noise={noise!r} must be a finite number of at least 0, such as 0.15")
    _check_model(model, image)
    with _eval_mode(model), torch.inference_mode(False), torch.enable_grad():
        batch = image.detach().clone()  # a normal tensor, also of one made in inference mode
        batch = batch if batch.ndim == 4 else batch[None]
        if samples:
            if target is None:
                target = _scores(model, batch).argmax(1)
            gradient = _smooth_gradient(model, batch, target, samples, noise, seed)
        else:
            gradient = _gradient(model, batch, target)
    if not torch.isfinite(gradient).all():
        raise ValueError(
            "the gradient has NaN or infinite values; check the network's weights and scores, and "
            "use float32 where float16 overflows"
        )
    saliency = gradient.abs().amax(1).to(image.dtype)
    return saliency if image.ndim == 4 else saliency[0]


def _smooth_gradient(
    model: Any, batch: Any, target: Any, samples: int, noise: float, seed: int
) -> Any:
    """Mean gradient of noisy copies."""
    import torch

    deviation = noise * (batch.amax((1, 2, 3), keepdim=True) - batch.amin((1, 2, 3), keepdim=True))
    generator = torch.Generator("cpu").manual_seed(seed)
    total = torch.zeros_like(batch, dtype=torch.promote_types(batch.dtype, torch.float32))
    for _ in range(samples):
        standard = torch.randn(
            batch.shape[1:], generator=generator, dtype=torch.float32, device="cpu"
        )
        total += _gradient(model, batch + deviation * standard.to(batch), target)
    return total / samples


def _gradient(model: Any, batch: Any, target: Any) -> Any:
    """Gradient of each image's class score with respect to the image."""
    import torch

    batch = batch.clone().requires_grad_()
    scores = _scores(model, batch.clone())  # a copy, which the network may change in place
    chosen = _classes(target, scores)
    gradient = None
    if scores.requires_grad:
        score = scores.gather(1, chosen[:, None]).sum()
        (gradient,) = torch.autograd.grad(score, batch, allow_unused=True)
    if gradient is None:
        raise ValueError(
            "the scores do not depend on the image by differentiable operations; the network may "
            "run under torch.no_grad(), or use detach, argmax or whole numbers"
        )
    return gradient


def _scores(model: Any, batch: Any) -> Any:
    """The network's output, checked."""
    import torch

    scores = model(batch)
    if not isinstance(scores, torch.Tensor):
        found = type(scores).__name__
    elif scores.ndim != 2 or len(scores) != len(batch) or not scores.shape[1]:
        found = f"shape {tuple(scores.shape)}"
    elif not scores.is_floating_point():
        found = str(scores.dtype)
    else:
        return scores
    raise ValueError(
        f"the model returned {found}; class_saliency takes float scores of shape ({len(batch)}, "
        "classes). Give a function that returns them, as in lambda x: model(x).logits"
    )


def _classes(target: Any, scores: Any) -> Any:
    """The number of a class for each image."""
    import torch

    count, classes = scores.shape
    if target is None:
        return scores.argmax(1)
    given = target.tolist() if hasattr(target, "tolist") else target  # arrays and tensors
    chosen = list(given) if isinstance(given, (list, tuple)) else [given] * count
    for number in chosen:
        if isinstance(number, bool) or not isinstance(number, numbers.Integral):
            raise TypeError(f"target={target!r} must be a whole number, or one for each image")
        if not 0 <= int(number) < classes:
            raise ValueError(
                f"target {number} is not a class: the model has {classes}, 0 to {classes - 1}"
            )
    if len(chosen) != count:
        raise ValueError(f"target has {len(chosen)} classes for {count} images; give one for each")
    return torch.tensor([int(number) for number in chosen], device=scores.device)


def _check_model(model: Any, image: Any) -> None:
    """Refuse what is no model or image, and an image that is not where the model is."""
    import torch

    if not callable(model):
        raise TypeError(
            f"model is {type(model).__name__}; give a torch.nn.Module (with its weights loaded) or "
            "a function of a tensor"
        )
    if not isinstance(image, torch.Tensor):
        raise TypeError(
            f"image is {type(image).__name__}; give a torch.Tensor of shape (C, H, W) or "
            "(N, C, H, W), preprocessed for the network"
        )
    if not image.is_floating_point():
        raise TypeError(
            f"image is {image.dtype}; give floats, preprocessed for the network, as in "
            "image.float() / 255"
        )
    if image.ndim not in (3, 4) or not image.numel():
        raise ValueError(
            f"image has shape {tuple(image.shape)}; give (C, H, W) or (N, C, H, W), none of them 0"
        )
    tensors = [] if not isinstance(model, torch.nn.Module) else _tensors(model)
    devices = {tensor.device for tensor in tensors}
    if devices and image.device not in devices:
        places = " and ".join(sorted(map(str, devices)))
        raise ValueError(f"image is on {image.device}, the model on {places}; use image.to(...)")
    if any(tensor.is_inference() for tensor in tensors):
        raise ValueError(
            "the model has tensors made under torch.inference_mode(), which have no gradients; "
            "build or load it outside"
        )
    if not torch.isfinite(image).all():
        raise ValueError("image has NaN or infinite values; replace them first")


def _tensors(model: Any) -> list[Any]:
    return [*model.parameters(), *model.buffers()]


@contextlib.contextmanager
def _eval_mode(model: Any) -> Iterator[None]:
    """Every submodule in eval mode, then as it was.

    The attribute is set, since `eval()` may be overridden, and exported modules refuse it.
    """
    import torch

    modules = model.modules() if isinstance(model, torch.nn.Module) else ()
    modes = [(module, module.training) for module in modules if hasattr(module, "training")]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _check_whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < 0:
        raise ValueError(f"{name}={value!r} must be a whole number of at least 0")
