"""Real servers, and servers that misbehave, seen through the Python package and so through the C contract."""
