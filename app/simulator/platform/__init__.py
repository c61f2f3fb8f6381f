"""The platform's API, `/cgi-bin/…`, as an account's server calls it."""
