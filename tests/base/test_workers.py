"""Work in processes."""

import multiprocessing
import os
import signal
import tempfile
from pathlib import Path

from host_tools.base import workers


def test_temporary_files_go_with_the_processes_that_made_them():
    with workers.results(tempfile.mkdtemp, ["-a", "-b"], 1) as made:
        folders = [Path(each) for each in made]
        assert all(folder.is_dir() for folder in folders)
    assert len(folders) == 2
    assert not any(folder.exists() for folder in folders)


def test_ctrl_c_does_not_end_a_process_that_begins():
    with workers.beside(eval, "__import__('os').getpid()") as found:
        (begun,) = multiprocessing.active_children()
        os.kill(begun.pid, signal.SIGINT)
        assert found.get(60) == begun.pid, "not one that was begun in its place"
