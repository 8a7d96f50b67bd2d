"""The wheel works without the checkout: its scripts are inside, its command starts and serves."""

import signal
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from service import __version__
from tests.serving import ROOT, environment_with, serve


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # Without isolation: hatchling is in the development lock file, so no index is asked.
    _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `quotad` of a fresh environment that shares nothing with the checkout but the installed dependencies."""
    environment = tmp_path_factory.mktemp("environment")
    _run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    python = environment / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    [site_packages] = environment.glob("lib/python*/site-packages")
    # A folder named in a .pth file is searched, but .pth files in it (an editable quotad, say) are not followed.
    (site_packages / "dependencies.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    return environment / "bin" / "quotad"


def _run(*command: str, cwd: Path | None = None) -> str:
    result = subprocess.run(
        command, cwd=cwd, env=environment_with(PYTHONPATH=""), capture_output=True, text=True, timeout=600, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_it_carries_every_script_and_no_test(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    scripts = {f"service/{path.relative_to(ROOT)}" for path in (ROOT / "lua").rglob("*.lua")}
    assert scripts
    assert scripts <= set(names)
    assert {name.split("/")[0] for name in names} == {"service", f"quotad-{__version__}.dist-info"}


def test_it_runs_without_the_checkout(installed: Path, tmp_path: Path):
    assert _run(str(installed), "--version", cwd=tmp_path) == f"quotad {__version__}\n"
    where = _run(str(installed.parent / "python"), "-c", "import service; print(service.__file__)", cwd=tmp_path)
    assert where.startswith(str(installed.parents[1]))


def test_it_serves(installed: Path, tmp_path: Path):
    with serve("--demo", cwd=tmp_path, program=[str(installed)], PYTHONPATH="") as served:
        assert served.get("/livez").status_code == 200
        assert served.get("/readyz").status_code == 200
        assert served.get("/openapi.json").json()["info"]["version"] == __version__
        assert served.stop(signal.SIGINT) == (0, "Stopped.\n")
