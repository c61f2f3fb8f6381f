"""How fast the webhook is, against what else one could run. `python -m tests.bench --help`.

Prints tables and asserts nothing: numbers belong to a machine and a day. The method is told in
`docs/performance.md`.
"""
