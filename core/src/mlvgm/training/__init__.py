"""Trainings of all plugins: one loop with checkpoints, log and card; what their steps have in common."""
