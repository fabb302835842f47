"""What reads history: the lake, its archive, SQL and batch jobs."""
