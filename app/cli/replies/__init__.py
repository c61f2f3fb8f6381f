"""`replies …`: an account's rules, bindings and flows from the command line."""
