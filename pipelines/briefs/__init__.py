"""Briefs in which every number can be checked: facts, what is made of them, and what may be said."""
