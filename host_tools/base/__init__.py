"""Tools that know nothing of the project's subject: errors, units, files, TOML, paths, the terminal, processes."""
