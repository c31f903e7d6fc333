"""Finding, loading and telling plugins."""
