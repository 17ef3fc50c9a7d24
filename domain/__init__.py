"""The rules: playbooks, steps, gates, facts, severity, deadlines, documentation. No I/O, no clock, no framework."""
