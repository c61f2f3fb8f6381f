"""A user's mistake is answered with a sentence in both languages and exit code 1, never a traceback."""

from typing import Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from app.cli.demo_home import at_home
from app.core.errors import AppError
from app.core.log import mask_text
from app.core.settings import BadSettings, Settings
from app.db.faults import is_database, is_passing, original


class DatabaseAway(AppError):
    code = "DATABASE_AWAY"
    zh = "无法使用数据库：{problem}。请检查 GUANXI_DATABASE_URL 以及数据库是否在运行"
    en = "The database cannot be used: {problem}. Check GUANXI_DATABASE_URL and that it is running"


class MachineSaysNo(AppError):
    code = "MACHINE_SAYS_NO"
    zh = "系统拒绝：{problem}"
    en = "The system refused: {problem}"


def load_settings() -> Settings:
    """The settings from the environment. Raises `BadSettings`, naming each variable that is wrong."""
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = (
            f"GUANXI_{'_'.join(str(part) for part in found['loc']).upper()}: {found['msg']}"
            for found in error.errors(include_input=False, include_url=False)
        )
        raise BadSettings(problem="; ".join(wrong)) from error
    return at_home(settings) if settings.demo else settings


def complain(error: AppError) -> None:
    """Both languages on standard error."""
    typer.secho(error.say("zh"), err=True, fg=typer.colors.RED)
    typer.secho(error.say("en"), err=True, fg=typer.colors.RED)


def explained(error: BaseException) -> AppError | None:
    """The complaint for an error of the user or the machine; None for a fault of the program."""
    if isinstance(error, AppError):
        return error
    if is_passing(error) and is_database(error):
        return DatabaseAway(problem=mask_text(str(original(error)).strip().split("\n")[0]))
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        return MachineSaysNo(problem=str(error))
    return None


class Forgiving(TyperGroup):
    """Runs a command and turns what can be explained into a complaint."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            complaint = explained(error)
            if complaint is None:
                raise
            complain(complaint)
            raise typer.Exit(1) from error
