"""The published programs on a GPU, whose kernels run on the host: every way in and out.

Orders of threads and planted faults are in `test_kernels_on_host`.
"""

from __future__ import annotations

import host_kernels
import numpy as np
import pytest
from host_device import HostDevice, LateDevice
from test_stages import photo_like
from tolerances import within

import ittisal
from ittisal import GBVS, VOCUS2, ChannelMap
from ittisal.channels import NO_CHANNELS, DeviceMap, check_channels
from ittisal.cuda.program import ProgramBackend
from ittisal.pipeline import FIRST_FRAME
from ittisal.plan import Plan
from ittisal.sampling import sampling

SHAPE = (50, 61)
pytestmark = [
    pytest.mark.skipif(not host_kernels.HAS_COMPILER, reason=host_kernels.NO_COMPILER),
    pytest.mark.parametrize("config", [VOCUS2, GBVS], ids=["vocus2", "gbvs"]),
]


def backend_on(device, config, shape=SHAPE):
    return ProgramBackend(Plan(shape, config), "rgb", device)


def saliency(backend, frame, channels=NO_CHANNELS):
    out = np.empty(backend.plan.map_shape, np.float32)
    backend.run(frame, out, FIRST_FRAME, channels)
    return out


def several(count, shape=SHAPE):
    return np.stack([np.roll(photo_like(shape), 9 * k, axis=1) for k in range(count)])


def guiding(config, rng, shape=SHAPE):
    """Channels of both ways and both sizes, weighted, as they are given."""
    small = sampling(shape, config).map_shape
    return {
        "depth": ChannelMap(rng.random(small, np.float32)),
        "face": ChannelMap(rng.random(shape, np.float32), 2.0),
        "task": ChannelMap(rng.random(shape, np.float32), 3.0, "multiply"),
    }


def prepared(channels, config, count=None):
    return check_channels(channels, sampling(SHAPE, config), count, None)


def there(device, channels):
    """The same, but their maps lie on the device."""
    return {
        name: DeviceMap(device.upload(each.map).reshape(each.map.shape), each.weight, each.how)
        for name, each in channels.items()
    }


def guided(plain, channels, config):
    """What the channels make of a map."""
    unit = config.unit_weight(colour=True, past=False)
    checked = prepared(channels, config)
    for each in checked.values():
        plain = plain + unit * each.weight * each.map if each.how == "add" else plain
    for each in checked.values():
        plain = plain * (1 + each.weight * each.map) if each.how == "multiply" else plain
    return plain


def test_a_batch_is_its_frames(config):
    frames = several(5)
    backend = backend_on(HostDevice(), config)
    maps = np.empty((5, *backend.plan.map_shape), np.float32)
    backend.run_batch(frames, maps)
    backend._reserve(3)
    together = np.empty_like(maps[:3])
    backend.run_device(frames[:3], together, count=3)
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(maps[k], saliency(backend, frame))
    np.testing.assert_array_equal(together, maps[:3])


@pytest.mark.parametrize("pace", ["needed", "others", 1])
def test_nobody_waits_for_frames_on_the_device(config, pace, rng):
    device, frames, channels = LateDevice(pace), several(2), guiding(config, rng)
    backend = backend_on(device, config)
    maps = device.empty((2, *backend.plan.map_shape))
    given = device.upload(frames).reshape(frames.shape), maps, 2, None, there(device, channels)
    backend.run_device(*given)
    assert device.under_way or isinstance(pace, int)
    plain = backend_on(HostDevice(), config)
    for got, frame in zip(device.download(maps), frames, strict=True):
        within("same_maths", got, guided(saliency(plain, frame), channels, config))


def test_bad_values_give_no_map(config):
    frame = np.float32(photo_like((40, 44)) / 255)
    backend = backend_on(HostDevice(), config, (40, 44))
    expected = saliency(backend, frame)
    for bad in (np.nan, np.inf, 1.5, -0.5):
        broken = frame.copy()
        broken[30, 20, 2] = bad
        with pytest.raises(ValueError, match="frame"):
            saliency(backend, broken)
        out = np.zeros_like(expected)
        backend.run_device(broken, out)
        assert np.isnan(out).all()
    np.testing.assert_array_equal(saliency(backend, frame), expected)


@pytest.mark.parametrize("shape", [SHAPE, (33, 37), (96, 48), (40, 301)])
def test_maps_are_resized_as_on_the_host(config, shape, rng):
    """The saliency map is enlarged over its maximum, which channels change; theirs are averaged."""
    backend, frame = backend_on(HostDevice(), config, shape), photo_like(shape)
    given = guiding(config, rng, shape)
    channels = check_channels(given, sampling(shape, config), None, None)
    for joining in (NO_CHANNELS, channels):
        small, large = saliency(backend, frame, joining), np.empty(shape, np.float32)
        assert (small.max() > 1.5) == (joining is channels)
        backend.upsample_device(small, large)
        within("upsampled", large, ittisal.upsample(small / small.max(), shape, config))
    again = np.empty_like(small)
    backend.run_device(frame, again, None, None, there(backend.device, given))
    within("same_maths", again, small)


def test_channels_join_the_final_map(config, rng):
    """From the host, on the device, one for all frames or one for each; and they are traced."""
    backend, frames, channels = backend_on(HostDevice(), config), several(3), guiding(config, rng)
    plain = np.stack([saliency(backend, frame) for frame in frames])
    wanted = guided(plain[0], channels, config)
    within("same_maths", saliency(backend, frames[0], prepared(channels, config)), wanted)
    traced = backend.trace(frames[0], FIRST_FRAME, prepared(channels, config))
    within("same_maths", traced["saliency"], wanted)
    added = backend.contributions()
    assert set(added) == {"depth", "face"} | set(config.channel_weights(colour=True))
    within("same_maths", sum(added.values()), wanted)
    for name, value in added.items():
        np.testing.assert_array_equal(traced[f"contribution/{name}"], value)

    each = rng.random((3, *SHAPE), np.float32)
    channels["face"] = ChannelMap(each, 2.0)
    wanted = [
        guided(map_, {**channels, "face": ChannelMap(face, 2.0)}, config)
        for map_, face in zip(plain, each, strict=True)
    ]
    on_device = there(backend.device, channels)
    mixed = prepared(channels, config, 3) | {"face": on_device["face"]}
    for given in (prepared(channels, config, 3), on_device, mixed):
        maps = np.empty_like(plain)
        backend.run_device(frames, maps, 3, None, given)
        within("same_maths", maps, wanted)


def test_bad_values_of_channels_on_the_device_give_nan(config):
    frame, spoilt = photo_like(SHAPE), np.zeros(SHAPE, np.float32)
    backend = backend_on(HostDevice(), config)
    plain, got = saliency(backend, frame), np.empty(backend.plan.map_shape, np.float32)
    spoilt[20, 50] = np.nan
    for how in ("add", "multiply"):
        given = there(backend.device, {"a": ChannelMap(spoilt, 1.0, how)})
        backend.run_device(frame, got, None, None, given)
        grid = sampling(SHAPE, config)
        assert [int(np.rint(at)) for at in grid.to_map((20, 50))] in np.argwhere(np.isnan(got))
        assert np.isnan(got).sum() <= 4
        others = ~np.isnan(got)
        np.testing.assert_array_equal(got[others], plain[others])
