"""pydantic-graph: loops that keep nothing, on asyncio."""
