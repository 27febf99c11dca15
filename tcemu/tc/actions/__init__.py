"""Kinds of tc actions: one kind, one file, each with the reader of its words and the printer of its objects."""
