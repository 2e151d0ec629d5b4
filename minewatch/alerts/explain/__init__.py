"""Explains an alert look by look, with the very code that found it."""
