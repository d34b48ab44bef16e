"""Build hook: the wheel carries the released models inside the package."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ModelsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Includes `models/` as `dcpose_cli/_models` in an ordinary wheel.

    Not in an editable one: files put into site-packages/dcpose_cli would hide the checkout's package.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the build; version is "standard" or "editable"."""
        if version == "standard":
            build_data["force_include"]["models"] = "dcpose_cli/_models"
