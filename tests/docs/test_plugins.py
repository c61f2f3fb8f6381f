"""The plugin in `docs/plugins.md`, and the one that `plugin new` writes: each is built, installed into
an environment of its own, found there by its entry point, and passes its test without a network."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from app import plugins
from app.cli.scaffold import write_plugin

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "plugins.md").read_text()
BLOCK = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NO_NETWORK = """
import socket

class Refused(socket.socket):
    def __init__(self, family=socket.AF_INET, *arguments, **more):
        if family != socket.AF_UNIX:
            raise RuntimeError("networking is switched off")
        super().__init__(family, *arguments, **more)

socket.socket = Refused
"""
FOUND = """
from app.plugins.finding import find_plugins
found = find_plugins(())
for one in found.loaded:
    print(one.plugin.name, one.source)
assert not found.left_out, found.left_out
"""


def write_page(folder: Path) -> Path:
    """The files of the page."""
    for name, text in BLOCK.findall(TEXT):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@dataclass(frozen=True)
class Environment:
    """A virtual environment in which one plugin is installed, and nothing else by pip. The server
    and the packages it needs are on its path."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self, project: Path) -> None:
        """Builds the wheel by the project's own build system and installs it. No network is asked."""
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        wheels = self.folder / "wheels"
        build = [uv, "build", "--offline", "--wheel", "--out-dir", str(wheels), str(project)]
        environment = {"UV_CACHE_DIR": str(self.folder / "cache"), **os.environ}
        subprocess.run(build, check=True, capture_output=True, env=environment)
        (wheel,) = wheels.glob("*.whl")
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--no-index"]
        subprocess.run([*pip, "--no-deps", "--quiet", str(wheel)], check=True)

    def run(self, *arguments: str, cwd: Path) -> str:
        """Without a network: no socket but within the machine's own files, and where the system lets
        us, in a network of its own that leads nowhere. Gives what was printed."""
        command = [*_alone(), str(self.python), *arguments]
        environment = {
            n: v for n, v in os.environ.items() if not n.startswith(("GUANXI_", "PYTEST"))
        }
        return _printed(command, cwd, environment)


def _printed(command: list[str], cwd: Path, environment: dict[str, str] | None = None) -> str:
    ended = subprocess.run(
        command, check=False, cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def _alone() -> list[str]:
    """What goes before a command to run it in a network of its own."""
    unshare = shutil.which("unshare")
    for options in (["--net"], ["--net", "--map-root-user"]):
        if unshare is None:
            break
        tried = subprocess.run([unshare, *options, "true"], check=False, capture_output=True)
        if tried.returncode == 0:
            return [unshare, *options]
    return []


@pytest.fixture
def environment(tmp_path: Path, on_postgres: bool) -> Environment:
    if on_postgres:
        pytest.skip("nothing here asks PostgreSQL: `Chat` brings SQLite along")
    made = Environment(tmp_path / "environment")
    venv.create(made.folder, with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = made.folder / "lib" / version / "site-packages"
    (packages / "server.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    (packages / "sitecustomize.py").write_text(NO_NETWORK)
    return made


def test_the_network_is_really_off(environment: Environment, tmp_path: Path) -> None:
    attempt = (
        "import socket\n"
        "try:\n"
        "    socket.create_connection(('127.0.0.1', 9))\n"
        "except RuntimeError as error:\n"
        "    print(error)\n"
    )
    assert environment.run("-c", attempt, cwd=tmp_path) == "networking is switched off\n"


def test_the_page_s_plugin_installs_and_passes_its_test(
    environment: Environment, tmp_path: Path
) -> None:
    project = write_page(tmp_path / "project")
    assert len(BLOCK.findall(TEXT)) == 4
    environment.install(project)
    shutil.rmtree(project / "src")  # what is tested is what was installed
    found = environment.run("-c", FOUND, cwd=tmp_path)
    assert found == "weather entry point weather = guanxi_weather:plugin\n"
    ended = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project)
    assert "4 passed" in ended


def test_the_plugin_that_new_writes_installs_and_passes_its_test(
    environment: Environment, tmp_path: Path
) -> None:
    project = write_plugin("my_lucky", tmp_path)
    environment.install(project)
    shutil.rmtree(project / "src")
    found = environment.run("-c", FOUND, cwd=tmp_path)
    assert found == "my_lucky entry point my_lucky = guanxi_my_lucky:plugin\n"
    ended = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project)
    assert "3 passed" in ended


def test_the_page_s_plugin_is_tidy(tmp_path: Path) -> None:
    project = write_page(tmp_path / "project")
    ruff = str(Path(sys.executable).parent / "ruff")
    ignored = "INP001,S101,ARG001,I001"
    rules = [f"--config={ROOT}/pyproject.toml", f"--ignore={ignored}"]
    _printed([ruff, "check", *rules, str(project)], tmp_path)


def test_every_name_of_the_face_can_be_imported() -> None:
    assert len(set(plugins.__all__)) == len(plugins.__all__) > 30
    assert all(hasattr(plugins, name) for name in plugins.__all__)


def test_the_page_names_only_what_there_is() -> None:
    """Everything that the page's plugin imports from the face, and the numbers it tells."""
    imported = re.search(r"from app\.plugins import \(\n(.*?)\)", TEXT, re.DOTALL)
    assert imported
    assert set(re.findall(r"\w+", imported[1])) <= set(plugins.__all__)
