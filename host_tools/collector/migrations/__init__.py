"""Alembic's revisions of the collector's database, by the number of the layout that each leads to."""
