"""`python -m app …`"""

from app.cli.commands import main

main()
