"""dbos: durable loops."""
