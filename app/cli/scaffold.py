"""A new plugin as files: a package that installs, answers, and passes its own test."""

from pathlib import Path
from string import Template

from app.core.errors import AppError
from app.plugins.parts import RESERVED
from app.plugins.plugin import env_prefix, is_name

_TEMPLATES = Path(__file__).parent / "plugin_template"


class BadPluginName(AppError):
    code = "BAD_PLUGIN_NAME"
    zh = "插件名 {name} 须为 2 到 32 个小写字母、数字或下划线，以字母开头，且不是保留名（{reserved}）"
    en = (
        "A plugin's name has 2 to 32 of a-z, 0-9 and _, a letter first, and is none of {reserved}; "
        "{name} is not such a name"
    )


class FolderExists(AppError):
    code = "FOLDER_EXISTS"
    zh = "{folder} 已存在，不会覆盖"
    en = "{folder} exists already and is not overwritten"


def write_plugin(name: str, parent: Path) -> Path:
    """Writes the package `guanxi-<name>` below `parent` and returns its folder.

    Raises `BadPluginName` and `FolderExists`; then nothing was written.
    """
    if not is_name(name) or name in RESERVED:
        raise BadPluginName(name=name[:60], reserved=", ".join(sorted(RESERVED)))
    distribution = f"guanxi-{name.replace('_', '-')}"
    folder = parent / distribution
    module = f"guanxi_{name}"
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise FolderExists(folder=folder) from error
    words = {
        "name": name,
        "distribution": distribution,
        "module": module,
        "prefix": env_prefix(name),
    }
    package = folder / "src" / module
    for template, path in (
        ("pyproject.toml", folder / "pyproject.toml"),
        ("README.md", folder / "README.md"),
        ("__init__.py", package / "__init__.py"),
        ("test_plugin.py", folder / "tests" / f"test_{name}.py"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (_TEMPLATES / f"{template}.tmpl").read_text(encoding="utf-8")
        path.write_text(Template(text).substitute(words), encoding="utf-8")
    (package / "py.typed").touch()
    return folder
