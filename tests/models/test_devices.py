"""Devices by name, for which a run can be planned."""

from __future__ import annotations

import pytest

from flantune.errors import ConfigError
from flantune.models.devices import known_devices, parse_devices
from flantune.models.size import training_flops


def test_every_device_says_where_its_numbers_come_from() -> None:
    for device in known_devices().values():
        assert device.peak > 1e13 and device.memory > 1e10 and device.bandwidth > 1e11
        assert 0.05 < device.utilization < 1 and device.source


def test_a_name_that_is_not_known_and_a_number_that_is_none() -> None:
    with pytest.raises(ConfigError) as error:
        parse_devices("h10:8")
    assert 'did you mean "h100"?' in error.value.hint and "tpu-v4" in error.value.hint
    for number in ("0", "-1", "many", "1.5"):
        with pytest.raises(ConfigError, match="not a number of devices"):
            parse_devices(f"h100:{number}")


@pytest.mark.parametrize(
    ("devices", "weights", "tokens", "hours"),
    [
        # FLAN 2021, section 2.4: "about 60 hours on a TPUv3 with 128 cores".
        ("tpu-v3-core:128", 137e9, 30_000 * 8_192, 60),
        # Flan 2022, section 2.2: "512 v4 TPU chips for 37 hours".
        ("tpu-v4:512", 540e9, 21_000 * 32 * 2_560, 37),
    ],
)
def test_the_runs_of_which_papers_tell_the_hours_take_them(
    devices: str, weights: float, tokens: int, hours: int
) -> None:
    found = training_flops(int(weights), tokens, "decoder-only") / parse_devices(devices).flops / 3_600
    assert found == pytest.approx(hours, rel=0.02)
