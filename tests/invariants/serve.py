"""One server process of the kill test: `python -m tests.invariants.serve URL PORT VARIANT DIR`."""

import sys

import uvicorn

from app.core.log import setup_logging
from app.core.settings import Settings
from app.main import create_app
from tests.conftest import KEY
from tests.invariants.variants import extensions


def main() -> None:
    url, port, variant, folder = sys.argv[1:]
    settings = Settings.model_validate(
        {"database_url": url, "secret_key": KEY, "data_dir": folder, "database_pool_size": 4}
    )
    setup_logging("json", "error")
    app = create_app(settings, extensions=extensions(variant))
    uvicorn.run(
        app, port=int(port), log_level="error", access_log=False, timeout_graceful_shutdown=7
    )


if __name__ == "__main__":
    main()
