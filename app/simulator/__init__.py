"""WeChat in a box: a platform to try an official account's server with, and the phones of its followers.

It stands alone. It imports `app.core` and nothing else of ours, signs and parses by its own code and
keeps to the platform's protocol, so that a mistake in our wire code cannot hide and servers written
with other people's libraries can use it.
"""
