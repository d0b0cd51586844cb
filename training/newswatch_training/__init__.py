"""Training, evaluation, tracking and promotion of newswatch models."""
