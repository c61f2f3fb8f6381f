"""The command line, one command per file.

Nothing is imported here: a serving process starts through `app.cli.child` without the commands.
"""
