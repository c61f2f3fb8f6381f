"""Who may do what: API tokens and roles."""
