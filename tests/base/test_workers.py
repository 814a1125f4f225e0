"""Work in processes."""

import tempfile
from pathlib import Path

from host_tools.base import workers


def test_temporary_files_go_with_the_processes_that_made_them():
    with workers.results(tempfile.mkdtemp, ["-a", "-b"], 1) as made:
        folders = [Path(each) for each in made]
        assert all(folder.is_dir() for folder in folders)
    assert len(folders) == 2
    assert not any(folder.exists() for folder in folders)
