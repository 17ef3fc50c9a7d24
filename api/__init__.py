"""How the world reaches us: REST over FastAPI.

A door parses, calls one use case and sends its answer; it holds no rule.
"""
