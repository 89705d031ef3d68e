"""Work that keeps a database small and its times right."""
