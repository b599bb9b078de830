"""Scores in files: tables and summaries, written by evaluations and read by reports."""
