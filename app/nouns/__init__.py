"""Everything that can be read, declared once for every door. Importing this package makes the nouns known."""

from app.nouns import exceptions, identities, incidents, parties, proof, risks, steps, tools, work

__all__ = ["exceptions", "identities", "incidents", "parties", "proof", "risks", "steps", "tools", "work"]
