"""Build hook of the wheel (hatchling): adds the index of the catalogue, so that an installed library parses no TOML of its own."""

import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Index(BuildHookInterface):  # type: ignore[type-arg]
    """Writes the index beside the descriptors, in a wheel that is not editable: a checkout reads its files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file of the index to what goes into the wheel."""
        if version == "editable":
            return
        root = Path(self.root)
        # By its path: the package itself needs what an environment for building has not.
        spec = spec_from_file_location("index", root / "src/roofline/catalog/index.py")
        if spec is None or spec.loader is None:
            raise FileNotFoundError("src/roofline/catalog/index.py")
        index = module_from_spec(spec)
        spec.loader.exec_module(index)
        packed = [
            root / source
            for source in self.build_config.force_include
            if "_data" in self.build_config.force_include[source]
        ]
        files = [file for place in packed for file in ([place] if place.is_file() else sorted(place.rglob("*.toml")))]
        self._made = tempfile.NamedTemporaryFile(delete=False)  # noqa: SIM115 - it is read after this method
        with self._made as out:
            out.writelines(index.lines([file for file in files if file.suffix == ".toml"]))
        build_data["force_include"][self._made.name] = f"roofline/_data/{index.NAME}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the file that the index was written to."""
        if version != "editable":
            Path(self._made.name).unlink(missing_ok=True)
