"""The shape of the tree: who may import whom, how long a file gets, names nobody may use, facts written down twice."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from service import __version__
from service.settings import Settings, variable

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "service").rglob("*.py"))
CODE = [
    path
    for folder in ("service", "tests", "bench", "lua")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".lua"}
]

LAYERS = (
    {"__main__", "cli", "server", "protocol", "app", "demo", "price_commands"},
    {"api"},
    {"admin"},
    {"governance", "quota"},
    {"routing", "pricing"},
    {"store"},
    {"models"},
)
"""A package imports itself and what stands below it here; the modules beside the packages come last."""

HOMES = {
    "redis": {"store"},
    "starlette": {"api", "app"},
    "uvicorn": {"server", "protocol", "timeouts", "transport"},
    "genai_prices": {"pricing/bundled.py"},
    "cel": {"routing/cel_alone.py"},
    # Those in api/ name the type of a model or write its schema; what a request may contain is said in models/ alone.
    "pydantic": {"models", "settings", "store/codec.py", "api/bodies.py", "api/openapi.py", "api/operations/operation.py"},
    "pydantic_settings": {"settings"},
}
"""Where a library may be imported; nowhere else, so that it can be replaced by reading one folder."""

BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}
LONGEST_FILE = 400


def _package(path: Path) -> str:
    """`store` for service/store/keys.py, `settings` for service/settings.py."""
    return path.relative_to(ROOT / "service").parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} line {node.lineno}: a relative import"
            assert node.module is not None
            if node.module == "service":
                yield from (f"service.{alias.name}" for alias in node.names if alias.name != "__version__")
            else:
                yield node.module


def _layer(package: str) -> int:
    layers = [number for number, packages in enumerate(LAYERS) if package in packages]
    if not layers and (ROOT / "service" / f"{package}.py").exists():
        return len(LAYERS)  # a module on its own stands below all packages
    assert layers, f"{package} has no place in LAYERS"
    return layers[0]


def _ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=_ids)
def test_imports_go_one_way(path: Path):
    package = _package(path)
    if package == "__init__":
        assert list(_imports(path)) == []
        return
    for name in _imports(path):
        if not name.startswith("service."):
            continue
        target = name.split(".")[1]
        one_layer_of_modules = _layer(package) == _layer(target) in (0, len(LAYERS))
        assert package == target or one_layer_of_modules or _layer(package) < _layer(target), (
            f"{package} must not import {target}"
        )


@pytest.mark.parametrize("path", MODULES, ids=_ids)
def test_libraries_stay_in_their_homes(path: Path):
    where = {_package(path), str(path.relative_to(ROOT / "service"))}
    for name in _imports(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or homes & where, f"{name} belongs in {', '.join(sorted(homes))}"


def test_only_settings_reads_the_environment():
    readers = {_package(path) for path in MODULES if re.search(r"\benviron\b|\bgetenv\b", path.read_text())}
    # cli hands the settings on to the worker processes, metrics_directory a variable of prometheus_client.
    assert readers <= {"settings", "cli", "metrics_directory"}


@pytest.mark.parametrize("path", MODULES, ids=_ids)
def test_every_module_says_what_it_is_for(path: Path):
    if path.name == "__init__.py" and not path.read_text().strip():
        return
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, "no docstring"
    assert docstring.splitlines()[0].endswith((".", ":")), "the first line of the docstring is one sentence"


@pytest.mark.parametrize("path", CODE, ids=_ids)
def test_files_are_short_and_well_named(path: Path):
    assert not BANNED_NAMES & {part.removesuffix(path.suffix) for part in path.relative_to(ROOT).parts}
    assert len(path.read_text().splitlines()) <= LONGEST_FILE, "split it by verb or resource"


def test_changelog_begins_with_this_version():
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == __version__


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_pin_versions_and_nothing_else(name: str):
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    assert [line for line in lines if line and not re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+( ; [^:/]+)?", line)] == []


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, requirements in (
        ("requirements.lock", project["dependencies"]),
        ("requirements-dev.lock", project["dependencies"] + project["optional-dependencies"]["dev"]),
    ):
        pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / name).read_text(), re.MULTILINE))
        wanted = {re.match(r"[A-Za-z0-9_-]+", text)[0].lower().replace("_", "-") for text in requirements}  # type: ignore[index]
        assert wanted <= pinned, f"run `make lock`: {name} lacks {wanted - pinned}"


@pytest.mark.parametrize("folder, lock", [("service", "requirements.lock"), ("tests", "requirements-dev.lock")])
def test_every_import_is_pinned(folder: str, lock: str):
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / lock).read_text(), re.MULTILINE))
    distributions = packages_distributions()
    imported = {name.split(".")[0] for path in (ROOT / folder).rglob("*.py") for name in _imports(path)}
    for name in sorted(imported - sys.stdlib_module_names - {"service", "tests", "bench"}):
        known_as = {distribution.lower().replace("_", "-") for distribution in distributions.get(name, [])}
        assert known_as & pinned, (
            f"{name} is imported in {folder}/ but not in {lock}: name it in pyproject.toml, then `make lock`"
        )


def test_images_are_named_by_an_exact_version():
    text = (ROOT / "Dockerfile").read_text() + (ROOT / "docker-compose.yml").read_text()
    images = re.findall(r"^(?:FROM|\s+image:) (\S+)", text, re.MULTILINE)
    assert len(images) == 4
    assert [image for image in images if not re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+(-[a-z-]+)?", image)] == []


def test_compose_passes_every_setting_on():
    passed = set(re.findall(r"^ +(QUOTAD_[A-Z_]+):", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE))
    of_the_image = {variable(name) for name in ("host", "port", "data_dir")}
    assert passed == {variable(name) for name in Settings.model_fields} - of_the_image


def settings_table() -> str:
    """The table of the README: `python -m tests.test_layout` prints it."""
    lines = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) else f"`{field.default}`"
        lines.append(f"| `{variable(name)}` | {default} | {field.description}{_bounds(field)} |")
    return "\n".join(lines)


def _bounds(field: FieldInfo) -> str:
    at_least = [f"{bound.ge:,}" for bound in field.metadata if isinstance(bound, Ge)]
    at_most = [f"{bound.le:,}" for bound in field.metadata if isinstance(bound, Le)]
    return f" {at_least[0]} to {at_most[0]}." if at_least else ""


def test_readme_describes_every_setting():
    readme = ROOT / "README.md"
    assert not readme.exists() or settings_table() in readme.read_text(), "print it with `python -m tests.test_layout`"


if __name__ == "__main__":
    sys.stdout.write(settings_table() + "\n")
