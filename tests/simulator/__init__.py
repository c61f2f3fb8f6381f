"""WeChat in a box."""
