"""Libraries are fetched once, checked against their digest, and missing ones are said in a line."""

import hashlib
import io
import tarfile

import pytest

from host_tools.base.errors import UsageError
from host_tools.build import libraries
from host_tools.build.libraries import Library, library


@pytest.fixture
def index(tmp_path, monkeypatch):
    """pip's configuration points at a folder with one library in it; nothing else is reachable."""
    archive = tmp_path / "links" / "micropython-tiny-1.0.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        body = b"ANSWER = 42\n"
        info = tarfile.TarInfo("micropython-tiny-1.0/tiny.py")
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))
    for name in ("PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setitem(libraries.LIBRARIES, "tiny", Library("micropython-tiny", "1.0", digest))
    return archive


def test_it_is_fetched_once_and_then_kept(index, tmp_path):
    folder = library("tiny")
    assert (folder / "tiny.py").read_text() == "ANSWER = 42\n"
    assert folder.is_relative_to(tmp_path / "cache" / "usage-guard")
    index.unlink()
    assert library("tiny") == folder


def test_other_content_under_the_same_name_is_refused(index, monkeypatch):
    monkeypatch.setitem(libraries.LIBRARIES, "tiny", Library("micropython-tiny", "1.0", "0" * 64))
    with pytest.raises(UsageError, match=r"^micropython-tiny==1\.0: cannot be downloaded: ") as caught:
        library("tiny")
    assert "\n" not in str(caught.value)


def test_one_that_is_nowhere_is_said_in_a_line(index):
    index.unlink()
    with pytest.raises(UsageError, match="cannot be downloaded: no package index has it; go online once"):
        library("tiny")


def test_pips_configuration_is_honoured(monkeypatch, tmp_path):
    for name in ("PIP_NO_INDEX", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://a.example/simple\nextra-index-url =\n  https://b/\n  https://c/\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_TRUSTED_HOST", "a.example")
    sources = libraries.pip_sources()
    assert sources.indexes[0] == "https://a.example/simple"
    assert sources.trusted_hosts == ["a.example"]
    monkeypatch.setenv("PIP_INDEX_URL", "https://d.example/simple")
    assert libraries.pip_sources().indexes[0] == "https://d.example/simple", "the environment wins"
