"""`demo`: a sample shop, the server, its worker and WeChat in a box, started by one command."""
