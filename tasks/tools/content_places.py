"""Where DVC keeps contents by their MD5: its cache and every remote, each with all that it holds of one."""

import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from amun.core.errors import AmunError
from amun.core.files import replace_file
from amun.core.masking import mask_passwords
from amun.core.temporary import open_temporary
from tasks.tools import s3
from tasks.tools.digests import compute_md5
from tasks.tools.dvc import open_repo
from tasks.tools.s3_versions import list_keys, list_versions, open_version

CACHE = "DVC cache"
_OBJECTS = "files/md5"  # below a remote's address
DIGITS = 32  # of an MD5; a folder's name has an ending after them
_NUM_FIRST = 2  # of an MD5's digits: the folder's name
_NAME = re.compile(r"[0-9a-f]{32}(\.dir)?")  # of a content, the folder's first digits with it
_MODE = 0o444  # as DVC leaves a content: nobody is to write to it


class ContentPlace(Protocol):
    """A place that keeps contents by their MD5.

    Each method raises AmunError where the place does not answer or refuses.
    """

    @property
    def name(self) -> str:
        """The place in a few words."""

    @property
    def is_default(self) -> bool:
        """Whether it is the remote to which every wave sends its data."""

    def has(self, digest: str) -> bool:
        """Tells whether a content can be read here."""

    def find_held(self, digests: Collection[str]) -> set[str]:
        """Returns of which of these contents anything is here, be it a version that was deleted."""

    def lend(self, digest: str) -> AbstractContextManager[Path | None]:
        """Gives a copy of a content to read; None where there is none that anybody could read."""

    def remove(self, digest: str) -> None:
        """Removes all that is here of a content, older versions too; said again it changes nothing."""

    def list_after(self, digest: str) -> Iterator[tuple[str, int]]:
        """Yields the contents that come after this one, in order, with their sizes in bytes; all after an empty one."""

    def compute_md5(self, digest: str) -> str | None:
        """Returns the MD5 of what is read under this name; None where nothing is there."""

    def put(self, digest: str, copy: Path) -> None:
        """Takes a file's bytes as this content, in place of what is there."""

    def locate(self, digest: str) -> str:
        """Returns where a content is, or would be, as a person finds it."""


@dataclass(frozen=True)
class ContentFolder:
    """The cache, or a remote that is a folder; `path` is where the contents begin."""

    name: str
    path: Path
    is_default: bool = False

    def has(self, digest: str) -> bool:
        """See `ContentPlace`."""
        return self._locate(digest).exists()

    def find_held(self, digests: Collection[str]) -> set[str]:
        """See `ContentPlace`."""
        return {digest for digest in digests if self._locate(digest).exists()}

    @contextmanager
    def lend(self, digest: str) -> Iterator[Path | None]:
        """See `ContentPlace`."""
        yield self._locate(digest)

    def remove(self, digest: str) -> None:
        """See `ContentPlace`."""
        with _translate_errors("see that it can be removed"):
            self._locate(digest).unlink(missing_ok=True)

    def list_after(self, digest: str) -> Iterator[tuple[str, int]]:
        """See `ContentPlace`."""
        with _translate_errors("see that it can be read"):
            for folder in sorted(self.path.iterdir()) if self.path.is_dir() else []:
                if len(folder.name) != _NUM_FIRST or folder.name < digest[:_NUM_FIRST]:
                    continue
                for path in sorted(folder.iterdir()):
                    # what is not whole yet has another name
                    if _NAME.fullmatch(found := folder.name + path.name) and found > digest:
                        yield found, path.stat().st_size

    def compute_md5(self, digest: str) -> str | None:
        """See `ContentPlace`."""
        return compute_md5(self._locate(digest))

    def put(self, digest: str, copy: Path) -> None:
        """See `ContentPlace`."""
        with (
            _translate_errors("see that it can be written"),
            replace_file(self._locate(digest)) as unfinished,
        ):
            shutil.copyfile(copy, unfinished)
            unfinished.chmod(_MODE)

    def locate(self, digest: str) -> str:
        """See `ContentPlace`."""
        return str(self._locate(digest))

    def _locate(self, digest: str) -> Path:
        return self.path / digest[:_NUM_FIRST] / digest[_NUM_FIRST:]


@dataclass(frozen=True)
class ContentBucket:
    """A remote on S3; `location` is where the contents begin."""

    name: str
    location: s3.Location
    client: Any
    is_default: bool = False

    def has(self, digest: str) -> bool:
        """See `ContentPlace`."""
        return s3.has_object(self.client, self.location.bucket, self._name_key(digest))

    def find_held(self, digests: Collection[str]) -> set[str]:
        """See `ContentPlace`."""
        keys = list_keys(self.client, self.location)
        return {digest for digest in digests if self._name_key(digest) in keys}

    @contextmanager
    def lend(self, digest: str) -> Iterator[Path | None]:
        """See `ContentPlace`."""
        key = self._name_key(digest)
        versions = list_versions(self.client, s3.Location(self.location.bucket, key), is_folder=False)
        version = next((version for version in versions if version.key == key), None)
        if version is None:
            yield None
            return
        with open_temporary() as folder:
            copy = Path(folder) / digest
            try:
                with open_version(self.client, version) as source, copy.open("wb") as target:
                    shutil.copyfileobj(source, target)
            except OSError as error:
                raise AmunError(f"{self.location}: {error}") from None
            yield copy

    def remove(self, digest: str) -> None:
        """See `ContentPlace`."""
        s3.delete_versions(self.client, self.location.bucket, self._name_key(digest))

    def list_after(self, digest: str) -> Iterator[tuple[str, int]]:
        """See `ContentPlace`."""
        for found in s3.list_objects(self.client, self.location, self._name_key(digest) if digest else ""):
            name = found.key.removeprefix(self.location.join("")).replace("/", "")
            if _NAME.fullmatch(name):
                yield name, found.size

    def compute_md5(self, digest: str) -> str | None:
        """See `ContentPlace`."""
        return s3.compute_md5(self.client, self.location.bucket, self._name_key(digest))

    def put(self, digest: str, copy: Path) -> None:
        """See `ContentPlace`."""
        with s3.translate_errors(str(self.location)), copy.open("rb") as file:
            self.client.upload_fileobj(file, self.location.bucket, self._name_key(digest))

    def locate(self, digest: str) -> str:
        """See `ContentPlace`."""
        return f"{s3.SCHEME}{self.location.bucket}/{self._name_key(digest)}"

    def _name_key(self, digest: str) -> str:
        return self.location.join(f"{digest[:_NUM_FIRST]}/{digest[_NUM_FIRST:]}")


@contextmanager
def _translate_errors(remedy: str) -> Iterator[None]:
    """Tells what a folder has refused in one line, which ends with what to do."""
    try:
        yield
    except OSError as error:
        raise AmunError(f"{error.filename}: {error.strerror}; {remedy}") from None


def list_content_places(root: Path) -> tuple[list[ContentPlace], list[str]]:
    """Returns the remotes and then the cache, and a line for each remote into which nobody here can look.

    Raises:
        AmunError: DVC's settings cannot be read, or the variables of S3 name no server.
    """
    with open_repo(root) as repo:
        cache = Path(repo.cache.local.path)
        remotes = {name: dict(remote) for name, remote in repo.config["remote"].items()}
        default = repo.config["core"].get("remote")
    places: list[ContentPlace] = []
    unread = []
    for name, remote in remotes.items():
        address, scheme = str(remote["url"]), urlsplit(str(remote["url"])).scheme
        told = f"DVC remote {name}"
        if remote.get("version_aware") or remote.get("worktree"):
            unread.append(f"{told}: it keeps files by their names (version_aware, worktree): remove older ones there")
        elif s3.is_location(address):
            location = s3.parse_location(address)
            place = s3.Location(location.bucket, location.join(_OBJECTS))
            places.append(ContentBucket(told, place, s3.open_client(), name == default))
        elif scheme not in ("", "file"):
            unread.append(f"{told}: nothing here reads {mask_passwords(address)}: look through it by other means")
        elif (folder := root / (unquote(urlsplit(address).path) if scheme else address)).is_dir():
            places.append(ContentFolder(told, folder / _OBJECTS, name == default))
        else:
            unread.append(f"{told}: {folder} is not there; mount it")
    return [*places, ContentFolder(CACHE, cache)], unread


def list_run_outputs(root: Path) -> Iterator[tuple[str, str]]:
    """Yields path and MD5 of each output that DVC notes of runs in this clone, of those that no commit names, too."""
    import yaml

    with open_repo(root) as repo:
        folder = Path(repo.stage_cache.cache_dir)
    for path in sorted(folder.glob("*/*/*")):
        try:
            noted = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
            found = [(str(out["path"]), str(out["md5"])) for out in noted.get("outs", [])]
        except (yaml.YAMLError, AttributeError, KeyError, TypeError):
            continue  # torn: DVC removes such a note when it reads it
        yield from found
