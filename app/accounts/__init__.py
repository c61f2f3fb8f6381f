"""Official accounts: who they are, their keys, and what each kind may do."""
