"""Everything that leaves or happens later: send windows, the outbound ledger, jobs."""
