"""`dcpose doctor`: the checks that need no models."""

from __future__ import annotations

from dcpose_cli.cli import doctor
from dcpose_cli.video import hwaccel


def test_hardware_decoders_are_listed(monkeypatch, capsys):
    for check in ("_devices", "_codecs", "_models", "_network"):
        monkeypatch.setattr(doctor, check, lambda: "")
    monkeypatch.setattr(hwaccel, "hwdevices_available", lambda: ["vdpau", "cuda", "vaapi"])
    monkeypatch.setattr(hwaccel, "_is_here", lambda device: device != "vdpau")
    assert doctor.report() == 0
    assert "ok  hwaccel         cuda, vaapi (not here: vdpau)\n" in capsys.readouterr().out
