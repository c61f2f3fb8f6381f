"""Customer service: conversations and their messages."""
