"""Brings the database of an earlier collector up to date, all of it or nothing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from host_tools.collector.database import Database, StoreError


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "newline")
    return config


def upgrade(database: Database, to: str = "head") -> None:
    """Runs what leads from the database's layout to another. StoreError: a step failed, and nothing was changed."""
    url = "postgresql+psycopg://" if database.postgresql else "sqlite://"
    config = configuration()
    try:
        engine = create_engine(url, creator=lambda: database.raw, poolclass=StaticPool)
        with engine.connect() as connection:  # asks the server for its version, and rolls that back
            database.begin()  # SQLAlchemy leaves that to the driver, whose connection is in autocommit mode
            with connection.begin():
                config.attributes["connection"] = connection
                command.upgrade(config, to)
    except SQLAlchemyError as error:
        raise StoreError(str(error).splitlines()[0]) from error
