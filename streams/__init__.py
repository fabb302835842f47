"""What folds the log: agents, the pure logic that they run, and the ports to log, views and vault."""
